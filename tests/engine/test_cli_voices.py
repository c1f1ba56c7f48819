"""The commands about voices, with a fit that takes no time: what they say, keep, refuse and remove."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audio_pipeline import cli_voices_enrol, cli_voices_record
from audio_pipeline.cli import main
from audio_pipeline.models import ge2e, kokoro, voice_consent, voice_fit, voice_inspect, weights
from audio_pipeline.models.voice_consent import OWN
from audio_pipeline.models.voice_fit import Fit, Reference
from audio_pipeline.models.voice_library import Library
from tests.models.voice_drafts import draft
from tests.shared import shared

RATE = 16_000
AGREED = OWN.format(speaker="Ann Reader")
Run = Callable[..., str]


class Speaker:
    """Speaks a tone of a second."""

    def synthesise(self, phonemes: str, style: np.ndarray, speed: float = 1.0) -> np.ndarray:
        return (0.1 * np.sin(2 * np.pi * 120 * np.arange(24_000) / 24_000)).astype(np.float32)


def quick(reference: Reference, speaker: Any, *, encoder: Any, british: bool, texts: Any) -> Fit:
    style = np.full((1, 256), 0.1, np.float32)
    return Fit(style, 1.1, british, "af_heart", "quick", 0.71, 0.65, reference.ceiling)


@pytest.fixture(scope="module")
def encoder() -> ge2e.SpeakerEncoder:
    if weights.locate("ge2e").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch ge2e)")
    return ge2e.load()


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: ge2e.SpeakerEncoder) -> None:
    """A host of its own, where fitting is instant."""
    monkeypatch.setattr(ge2e, "load", lambda: encoder)
    for name, folder in (("AUDIO_PIPELINE_VOICES", "voices"), ("XDG_CONFIG_HOME", "config")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.delenv("AUDIO_PIPELINE_VOICE_POLICY", raising=False)
    monkeypatch.setattr(kokoro, "load", lambda threads=0: Speaker())
    monkeypatch.setattr(kokoro, "voice_names", lambda: ["af_heart"])
    monkeypatch.setattr(voice_fit, "quick", quick)
    monkeypatch.setattr(voice_inspect, "separated", lambda x, rate: (x, 0.01 * x))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command about voices and gives what it said; `fails` is the exit code that it must have."""

    def run(*words: object, fails: int = 0) -> str:
        code = main(["voices", *map(str, words)])
        out, err = capsys.readouterr()
        assert code == fails, err
        return err if fails else out

    return run


def reader(name: str, number: int = 0) -> Path:
    return sorted(shared(f"speech/{name}").glob("*.flac"))[number]


@pytest.fixture
def sample() -> Path:
    return reader("3005")


def test_a_recording_becomes_a_voice_with_a_card(run: Run, sample: Path) -> None:
    said = run("enrol", sample, "--name", "Ann", "--consent", AGREED)
    assert "likeness    0.71  alike in kind" in said and "the stock voice af_heart" in said
    assert f"Ann Reader, {said.split('Ann Reader, ')[1][:10]}, as somebody typed: {AGREED}" in " ".join(said.split())
    record = Library().record("ann")
    assert record.speed == 1.1 and record.likeness.ceiling and record.speaker.pitch_hz > 60
    assert record.consent and record.consent.sample_sha256 == record.sample.sha256
    assert record.sample.sha256 == voice_consent.digest_of(sample.read_bytes())
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
        (("FILE", "--record", 10), "expected sound files, or --record SECONDS", 2),
        (("FILE",), "a voice is made only with its speaker's consent: add --consent", 2),
        (("FILE", "--consent", "yes"), "--consent: expected 'I, NAME, agree", 2),
        (("FILE", "--proof", "FILE"), "no sentence was asked for; get one with", 2),
        (("nowhere.wav", "--consent", AGREED), "nowhere.wav: cannot be opened (No such file", 3),
    ],
)
def test_what_is_missing_is_said_before_any_work(
    run: Run, sample: Path, words: tuple[str, ...], said: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_voices_enrol, "load_tools", lambda: pytest.fail("the networks were loaded"))
    given = [str(sample) if word == "FILE" else word for word in words]
    assert said in run("enrol", *given, "--name", "Ann", fails=code)


@pytest.mark.parametrize("name", ["af_heart", "LIGHT", "Bob", ""])
def test_a_name_that_cannot_be_had_is_said_first(run: Run, sample: Path, name: str) -> None:
    Library().add(draft("Bob"))
    assert "name" in run("enrol", sample, "--name", name, "--consent", AGREED, fails=2)


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


def test_what_is_only_music_is_refused_even_if_forced(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice_inspect, "separated", lambda x, rate: (1e-3 * x, x))
    path = written(tmp_path / "noise.wav", np.random.default_rng(0).standard_normal(5 * RATE) * 0.1)
    assert "(music: only music or noise)" in refusing(run, path, "--force")


def test_a_sentence_read_in_the_same_voice_is_a_proof(run: Run, sample: Path) -> None:
    sentence = run("sentence").strip()
    run("enrol", sample, "--name", "Ann", "--proof", reader("3005", 1))
    consent = Library().record("Ann").consent
    assert consent and (consent.kind, consent.sentence, consent.speaker) == ("spoken", sentence, "Ann")
    assert consent.likeness > 0.8
    assert "no sentence was asked for" in run("enrol", sample, "--name", "B", "--proof", reader("3005", 2), fails=2)


@pytest.mark.parametrize(("who", "said"), [("1998", "not that of the sample"), ("3005", "is the sample itself")])
def test_another_voice_or_the_sample_itself_are_none(run: Run, sample: Path, who: str, said: str) -> None:
    run("sentence")
    assert said in run("enrol", sample, "--name", "Ann", "--proof", reader(who), fails=2)
    assert Library().names() == []


def test_at_the_microphone(run: Run, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    takes = iter([reader("3005"), reader("3005", 1)])
    titles = []

    def recorded(device: str, seconds: float, title: str) -> tuple[np.ndarray, int]:
        titles.append(title)
        return soundfile.read(next(takes), dtype="float32")

    monkeypatch.setattr(cli_voices_record, "recorded", recorded)
    run("enrol", "--record", 10, "--name", "Ann", "--prove", "--speaker", "Ann Reader")
    consent = Library().record("Ann").consent
    assert titles == ["your voice", "the sentence"] and consent and consent.speaker == "Ann Reader"


def test_where_the_host_asks_for_no_consent_none_is_needed(run: Run, sample: Path, tmp_path: Path) -> None:
    policy = tmp_path / "config" / "audio-pipeline" / "voice-policy.yaml"
    policy.parent.mkdir(parents=True)
    policy.write_text("consent: false")
    assert "consent     none: it does not speak unless" in run("enrol", sample, "--name", "Ann")


def test_the_card_as_page_and_picture(run: Run, sample: Path, tmp_path: Path) -> None:
    run("enrol", sample, "--name", "<b>Ann $x$", "--consent", AGREED)
    png, page = tmp_path / "card.png", tmp_path / "card.html"
    run("show", "<b>Ann $x$", "--png", png, "--html", page)
    assert png.read_bytes()[:4] == b"\x89PNG"
    text = page.read_text()
    assert "<b>Ann" not in text and "&lt;b&gt;Ann $x$" in text and "http" not in text
    assert "is there already; add --force" in run("show", "<b>Ann $x$", "--png", png, fails=2)
    run("show", "<b>Ann $x$", "--png", png, "--force")


def test_alike_and_different(run: Run, sample: Path) -> None:
    run("enrol", sample, "--name", "Ann", "--consent", AGREED)
    assert float(run("score", "Ann", reader("3005", 1)).split()[0]) > 0.8
    assert float(run("score", reader("1998"), "ann").split()[0]) < 0.7
    assert "nobody: cannot be opened" in run("score", "Ann", "nobody", fails=3)


def test_export_import_delete(run: Run, tmp_path: Path) -> None:
    Library().add(draft("Ann"))
    path = tmp_path / "ann.voice"
    run("export", "Ann", "-o", path)
    assert "already" in run("import", path, fails=2)
    assert "'Bob' is here" in run("import", path, "--name", "Bob")
    assert "add --yes" in run("delete", "Bob", fails=2)
    assert "removed 'Bob'" in run("delete", "bob", "--yes")
    assert "did you mean 'Ann'" in run("delete", "Anne", "--yes", fails=2)
    assert Library().names() == ["Ann"]


def refining(press: bool, found: float = 0.83) -> Callable[..., Fit]:
    """A search that goes a step, in which somebody may press Ctrl-C."""

    def refine(reference: Reference, start: Fit, *, seconds: float, progress: Any, cancelled: Any,
               checkpoint_folder: Path) -> Fit:  # fmt: skip
        (checkpoint_folder / "state").write_text("1")
        progress(1, 0.8, seconds / 2)
        if press:
            os.kill(os.getpid(), signal.SIGINT)
        assert cancelled() == press
        return replace(start, pack=start.pack * 2, method="refined", fitted_likeness=found)

    return refine


@pytest.mark.parametrize("press", [False, True])
def test_refining_puts_the_better_voice_in_place(
    run: Run, sample: Path, monkeypatch: pytest.MonkeyPatch, press: bool
) -> None:
    run("enrol", sample, "--name", "Ann", "--consent", AGREED)
    before = Library().record("Ann")
    monkeypatch.setattr(voice_fit, "refine", refining(press))
    said = run("refine", "Ann", "--minutes", "0.5")
    after = Library().record("Ann")
    assert "likeness 0.71 -> 0.83 (+0.12)" in said and ("goes on from here" in said) == press
    assert (after.id, after.revision, after.provenance.method) == (before.id, 2, "refined")
    assert after.consent == before.consent and after.created == before.created
    assert Library().voice("Ann").pack[0, 0] == np.float32(0.2)
    assert Library().work_folder("Ann").exists() == press, "what is needed to go on is kept only where there is need"


def test_a_stopped_search_goes_on_from_where_it_began(
    run: Run, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("enrol", sample, "--name", "Ann", "--consent", AGREED)
    monkeypatch.setattr(voice_fit, "refine", refining(press=True))
    run("refine", "Ann")
    starts = []

    def again(reference: Reference, start: Fit, **how: Any) -> Fit:
        starts.append(start)
        assert (how["checkpoint_folder"] / "state").read_text() == "1"
        return replace(start, pack=start.pack * 3, method="refined", fitted_likeness=0.9)

    monkeypatch.setattr(voice_fit, "refine", again)
    run("refine", "Ann")
    assert starts[0].pack[0, 0] == np.float32(0.1) and starts[0].method == "quick"
    assert Library().voice("Ann").pack[0, 0] == np.float32(0.1) * 3
    assert not Library().work_folder("Ann").exists()


def test_what_is_no_better_is_not_kept(run: Run, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("enrol", sample, "--name", "Ann", "--consent", AGREED)
    monkeypatch.setattr(voice_fit, "refine", refining(press=False, found=0.7))
    assert "nothing better than likeness 0.71 was found" in run("refine", "Ann")
    assert Library().record("Ann").revision == 1


def test_time_for_a_search_is_a_time(run: Run) -> None:
    Library().add(draft("Ann"))
    assert "--minutes: expected more than 0" in run("refine", "Ann", "--minutes", "0", fails=2)


def test_an_action_is_needed(run: Run) -> None:
    assert "expected one of enrol, list" in run(fails=2)
