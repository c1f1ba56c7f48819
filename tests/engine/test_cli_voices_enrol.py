"""`voices enrol`, with a fit that takes no time: what it says, keeps and refuses."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline.cli import voices_enrol, voices_record
from audio_pipeline.models.voices import consent as voice_consent
from audio_pipeline.models.voices import inspection
from audio_pipeline.models.voices.enrolled import Library
from tests.engine.voice_host import AGREED, Run, encoder, host, reader, run, sample
from tests.models.voice_drafts import draft

__all__ = ["encoder", "host", "run", "sample"]
pytestmark = pytest.mark.usefixtures("host")

RATE = 16_000


def test_a_recording_becomes_a_voice_with_a_card(run: Run, sample: Path) -> None:
    said = run("enrol", sample, "--name", "Ann", "--consent", AGREED)
    assert "likeness    0.71  alike in kind" in said and "the stock voice af_heart" in said
    assert f"Ann Reader, {said.split('Ann Reader, ')[1][:10]}, as a typed statement: {AGREED}" in " ".join(said.split())
    record = Library().record("ann")
    assert record.speed == 1.1 and record.likeness.ceiling and record.speaker.pitch_hz > 60
    assert record.consent and record.consent.sample_sha256 == record.sample.sha256
    assert record.sample.sha256 == voice_consent.digest_of([sample.read_bytes()])
    assert run("show", "Ann") in said
    assert "Ann" in run("list") and "stock: light, af_heart" in run("list")


def test_several_clips_are_one_sample(run: Run) -> None:
    run("enrol", reader("3005"), reader("3005", 1), "--name", "Ann", "--consent", AGREED, "--forget-sample")
    record = Library().record("Ann")
    assert record.sample.seconds == pytest.approx(sum(soundfile.info(reader("3005", i)).duration for i in (0, 1)))
    assert Library().sample("Ann") is None
    assert "its sample was not kept" in run("refine", "Ann", fails=3)


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        ((), "expected sound files, or --record SECONDS", 2),
        (("FILE", "--record", 3), "got sound files and --record, expected one of both", 2),
        (("FILE",), "a voice is made only with its speaker's consent: add --consent", 2),
        (("FILE", "--consent", "yes"), "--consent: expected 'I, NAME, agree", 2),
        (("FILE", "--proof", "FILE"), "no sentence was issued; get one with", 2),
        (("nowhere.wav", "--consent", AGREED), "nowhere.wav: cannot be opened (No such file", 3),
    ],
)
def test_a_missing_argument_is_refused_before_any_work(
    run: Run, sample: Path, words: tuple[str, ...], said: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voices_enrol, "load_tools", lambda: pytest.fail("the networks were loaded"))
    given = [str(sample) if word == "FILE" else word for word in words]
    assert said in run("enrol", *given, "--name", "Ann", fails=code)


@pytest.mark.parametrize("name", ["af_heart", "LIGHT", "Bob", ""])
def test_a_name_that_is_taken_is_refused_first(run: Run, sample: Path, name: str) -> None:
    Library().add(draft("Bob"))
    assert "name" in run("enrol", sample, "--name", name, "--consent", AGREED, fails=2)


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    run: Run, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody, root included, makes a folder in /proc."""
    monkeypatch.setattr(voices_enrol, "load_tools", lambda: pytest.fail("the networks were loaded"))
    monkeypatch.setenv("AUDIO_PIPELINE_VOICES", "/proc/voices")
    said = run("enrol", sample, "--name", "Ann", "--consent", AGREED, fails=1)
    assert "the voices in /proc/voices cannot be written" in said and len(said.splitlines()) == 1


def written(path: Path, x: np.ndarray) -> Path:
    soundfile.write(path, x, RATE)
    return path


def refusing(run: Run, path: Path, *words: str) -> str:
    said = run("enrol", path, "--name", "Ann", "--consent", AGREED, *words, fails=3)
    assert Library().names() == []
    return said.strip().splitlines()[-1]


def test_silence_and_half_a_second_are_refused(run: Run, tmp_path: Path, sample: Path) -> None:
    assert "the sample is silent" in refusing(run, written(tmp_path / "a.wav", np.zeros(5 * RATE)))
    x, _ = soundfile.read(sample)
    said = refusing(run, written(tmp_path / "b.wav", x[RATE : RATE + RATE // 2]))
    assert "Expected 1.6 s of speech or more" in said


def test_two_people_are_refused_unless_forced(run: Run, tmp_path: Path) -> None:
    both = np.concatenate([soundfile.read(reader(name))[0][: 5 * RATE] for name in ("1688", "1998")])
    path = written(tmp_path / "both.wav", both)
    assert "a second voice takes over in it" in refusing(run, path)
    assert "a second voice takes over" in run("enrol", path, "--name", "Both", "--consent", AGREED, "--force")
    assert Library().names() == ["Both"]


def test_what_is_only_music_is_refused_even_if_forced(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "separated", lambda x, rate: (1e-3 * x, x))
    path = written(tmp_path / "noise.wav", np.random.default_rng(0).standard_normal(5 * RATE) * 0.1)
    assert "(music: only music or noise)" in refusing(run, path, "--force")


def test_a_made_voice_cannot_agree(run: Run, tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("sentence")
    monkeypatch.setattr(inspection, "is_made", lambda x, rate: len(x) == RATE * 5)
    made = written(tmp_path / "made.wav", soundfile.read(reader("3005", 1))[0][: 5 * RATE])
    assert "the proof carries the mark" in run("enrol", sample, "--name", "Ann", "--proof", made, fails=2)
    assert "(origin: it carries the mark of made speech)" in refusing(run, made)


def test_a_sentence_read_in_the_same_voice_is_a_proof(run: Run, sample: Path) -> None:
    sentence = run("sentence").strip()
    run("enrol", sample, "--name", "Ann", "--proof", reader("3005", 1))
    consent = Library().record("Ann").consent
    assert consent and (consent.kind, consent.sentence, consent.speaker) == ("spoken", sentence, "Ann")
    assert consent.likeness > 0.8
    assert "no sentence was issued" in run("enrol", sample, "--name", "B", "--proof", reader("3005", 2), fails=2)


@pytest.mark.parametrize(("who", "said"), [("1998", "not that of the sample"), ("3005", "is the sample itself")])
def test_another_voice_or_the_sample_itself_are_none(run: Run, sample: Path, who: str, said: str) -> None:
    run("sentence")
    assert said in run("enrol", sample, "--name", "Ann", "--proof", reader(who), fails=2)
    assert Library().names() == []


def test_the_sample_by_another_codec_is_none(run: Run, sample: Path, tmp_path: Path) -> None:
    x, rate = soundfile.read(sample)
    soundfile.write(tmp_path / "again.mp3", 0.5 * x[rate:], rate)
    run("sentence")
    said = run("enrol", sample, "--name", "Ann", "--proof", tmp_path / "again.mp3", fails=2)
    assert "or holds a part of it" in said and Library().names() == []


def test_at_the_microphone(run: Run, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    takes = iter([reader("3005"), reader("3005", 1)])
    titles = []

    def recorded(device: str, seconds: float, title: str) -> tuple[np.ndarray, int]:
        titles.append(title)
        return soundfile.read(next(takes), dtype="float32")

    monkeypatch.setattr(voices_record, "recorded", recorded)
    run("enrol", "--record", 10, "--name", "Ann", "--prove", "--speaker", "Ann Reader")
    consent = Library().record("Ann").consent
    assert titles == ["your voice", "the sentence"] and consent and consent.speaker == "Ann Reader"


def test_where_the_host_asks_for_no_consent_none_is_needed(run: Run, sample: Path, tmp_path: Path) -> None:
    policy = tmp_path / "config" / "audio-pipeline" / "voice-policy.yaml"
    policy.parent.mkdir(parents=True)
    policy.write_text("consent: false")
    assert "consent     none: it is not used unless" in run("enrol", sample, "--name", "Ann")


def test_the_converter_finds_its_numbers_with_the_voice(
    run: Run, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The converter may be absent (it needs pyworld); where it is there, its numbers are kept as they are."""

    class Converter:
        @staticmethod
        def target_of(x: np.ndarray, rate: int, encoder: object) -> Converter:
            assert x.shape[1] == 1 and rate == RATE
            return Converter()

        @staticmethod
        def numbers() -> dict[str, float]:
            return {"log_f0_mean": 4.75}

    monkeypatch.setitem(sys.modules, "audio_pipeline.models.convert.target", Converter)
    run("enrol", sample, "--name", "Ann", "--consent", AGREED)
    assert Library().record("Ann").target == {"log_f0_mean": 4.75}
    monkeypatch.setitem(sys.modules, "audio_pipeline.models.convert.target", None)
    run("enrol", sample, "--name", "Bob", "--consent", AGREED)
    assert Library().record("Bob").target is None


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    """Somebody sits there, who types these and then Ctrl-D."""
    left = iter(answers)

    def typed(question: str) -> str:
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", typed)
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)


def test_at_a_terminal_one_is_asked(run: Run, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_a_terminal(monkeypatch, "Bob Ash", "n", " i agree ")
    run("enrol", sample, "--name", "Bob")
    consent = Library().record("Bob").consent
    assert consent and consent.speaker == "Bob Ash" and consent.statement.startswith("I have the permission of Bob Ash")


@pytest.mark.parametrize(
    ("answers", "said"),
    [((), "a voice's name has 1 to 64"), (("Bob",), "no consent was given"), (("Bob", "y", "no"), "no consent was")],
)
def test_who_does_not_agree_has_no_voice(
    run: Run, sample: Path, monkeypatch: pytest.MonkeyPatch, answers: tuple[str, ...], said: str
) -> None:
    at_a_terminal(monkeypatch, *answers)
    assert said in run("enrol", sample, "--name", "Bob", fails=2)
    assert Library().names() == []
