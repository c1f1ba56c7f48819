"""The node that listens to who speaks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline.errors import ConfigError, MediaError
from audio_pipeline.frame import audio_frame
from audio_pipeline.models.hearing import ge2e, speech
from audio_pipeline.models.voices import live
from audio_pipeline.models.voices.enrolled import FOLDER, Library
from audio_pipeline.models.voices.live import Enroller
from audio_pipeline.models.weights import store
from audio_pipeline.nodes.speaker_encoder import NODE, RATE, Settings
from tests.models.test_ge2e_stream import reader
from tests.models.voice_drafts import draft
from tests.nodes.fake import Event, FakeContext, blocks


@pytest.fixture(autouse=True)
def only_with_weights() -> None:
    if store.locate("ge2e").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch ge2e)")


def events_of(settings: Settings, x: np.ndarray, position: int = 0) -> list[Event]:
    node, ctx = NODE(settings), FakeContext(48_000)
    node.open(ctx)
    for at, block in blocks(x[:, None], 160, position):
        node.process({"in": audio_frame(block, at, RATE)}, ctx)
    node.close()
    return ctx.events


@pytest.fixture
def alice(tmp_path: Path) -> Path:
    """Another clip of the reader that speaks first."""
    path = tmp_path / "alice.wav"
    soundfile.write(path, reader("1688", 3)[-6 * RATE :], RATE)
    return path


def test_alice_is_recognised_and_somebody_else_is_not(alice: Path) -> None:
    x = np.concatenate([reader("1688", 1), reader("1998", 1)])
    events = events_of(Settings(known=(str(alice),)), x)
    answers = [(event.data["name"], event.position / 48_000) for event in events if event.kind == "who"]
    assert [name for name, _ in answers] == ["alice", ""]
    (changed,) = [event.position / 48_000 for event in events if event.kind == "changed"]
    assert answers[0][1] < 4 and answers[1][1] == changed


def test_an_enrolled_voice_is_recognised_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    encoder = ge2e.load()
    made = draft("Ann \u00c5")
    voice = replace(made, embedding=encoder.utterance(speech.prepare(reader("1688", 3)[:, None], RATE)))
    Library().add(voice)
    events = events_of(Settings(enrolled=("Ann \u00c5",)), reader("1688", 1)[: 6 * RATE])
    assert [event.data["name"] for event in events if event.kind == "who"][-1] == "Ann \u00c5"
    with pytest.raises(ConfigError, match="no voice is called 'Anna'"):
        events_of(Settings(enrolled=("Anna",)), reader("1688", 1)[:RATE])


def test_looks_come_at_graph_positions_with_256_numbers_of_length_1() -> None:
    events = events_of(Settings(), reader("1688", 1)[: 5 * RATE], position=32_000)
    assert {event.kind for event in events} == {"look"}
    for event in events:
        assert 96_000 < event.position <= 96_000 + 5 * 48_000
        assert np.linalg.norm(event.data["embedding"]) == pytest.approx(1, abs=1e-4)  # written with 6 digits


def test_a_reference_without_speech_is_named(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "quiet.wav", np.zeros(RATE), RATE)
    with pytest.raises(ConfigError, match=r"quiet.wav' holds 0.0 s of speech, expected 1.6 s or more"):
        events_of(Settings(known=(str(tmp_path / "quiet.wav"),)), np.zeros(0, np.float32))
    with pytest.raises(MediaError, match=r"nothing.wav"):
        events_of(Settings(known=(str(tmp_path / "nothing.wav"),)), np.zeros(0, np.float32))


def fitted(lengths: list[int]) -> object:
    """Stands in for the fit: notes how much sound it was given."""

    def fit(x: np.ndarray) -> dict[str, object]:
        lengths.append(len(x))
        return {"style": [0.5] * 256, "speed": 1.1, "british": False, "nearest": "af_sky"}

    return fit


def test_a_voice_is_made_when_enough_was_heard_and_again_at_twice_as_much() -> None:
    given: list[int] = []
    enroller = Enroller(3.0, fitted(given))  # type: ignore[arg-type]
    found = []
    for second in range(1, 14):
        enroller.push(np.ones(RATE, np.float32))
        style = enroller.update(float(second), changed=False)
        found += [style["speech_s"]] if style else []
    assert found == [3.0, 6.0, 12.0] and given == [3 * RATE, 6 * RATE, 12 * RATE]


def test_somebody_else_begins_anew() -> None:
    given: list[int] = []
    enroller = Enroller(3.0, fitted(given))  # type: ignore[arg-type]
    enroller.push(np.ones(4 * RATE, np.float32))
    assert enroller.update(4.0, changed=False)
    assert not enroller.update(2.0, changed=True)
    enroller.push(np.ones(RATE, np.float32))
    assert enroller.update(3.0, changed=False) and given[-1] == 3 * RATE


@pytest.mark.parametrize("consent", [True, False])
def test_no_voice_is_made_without_consent(monkeypatch: pytest.MonkeyPatch, consent: bool) -> None:
    monkeypatch.setattr(live, "_quick", fitted([]))
    node, ctx = NODE(Settings(enrol_s=2.0, consent=consent)), FakeContext(48_000)
    node.open(ctx)
    for at, block in blocks(reader("1688", 1)[: 5 * RATE][:, None], 160, 0):
        node.process({"in": audio_frame(block, at, RATE)}, ctx)
    styles = [event for event in ctx.events if event.kind == "style"]
    assert bool(styles) == consent
    assert any("before the speaker agrees: set node.consent=true" in line for line in ctx.logs) != consent
    for event in styles:
        assert len(event.data["style"]) == 256 and event.data["nearest"] == "af_sky"


def test_consent_that_is_taken_back_is_told_and_what_was_heard_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_quick", fitted([]))
    node, ctx = NODE(Settings(enrol_s=2.0, consent=True)), FakeContext(48_000)
    node.open(ctx)
    x = reader("1688", 1)[: 10 * RATE]
    for at, block in blocks(x[:, None], 160, 0):
        if at == 5 * RATE:
            node.settings = replace(node.settings, consent=False)
            node.on_param("consent", False, 0, ctx)
        node.process({"in": audio_frame(block, at, RATE)}, ctx)
    kinds = [event.kind for event in ctx.events if event.kind != "look"]
    assert kinds[0] == "style" and kinds[-1] == "withdrawn" and kinds.count("withdrawn") == 1
    assert node._enroller is None
    assert [event.position for event in ctx.events if event.kind == "withdrawn"] == [5 * 48_000]


def test_without_voices_to_make_consent_is_nobodys_business() -> None:
    node, ctx = NODE(Settings()), FakeContext(48_000)
    node.open(ctx)
    node.on_param("consent", False, 0, ctx)
    assert not ctx.events


def test_what_gives_no_voice_is_said_and_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(x: np.ndarray) -> dict[str, object]:
        raise ConfigError("no voice was made of what was heard: no pitch")

    monkeypatch.setattr(live, "_quick", none)
    node, ctx = NODE(Settings(enrol_s=2.0, consent=True)), FakeContext(48_000)
    node.open(ctx)
    for at, block in blocks(reader("1688", 1)[: 5 * RATE][:, None], 160, 0):
        node.process({"in": audio_frame(block, at, RATE)}, ctx)
    assert ctx.logs == ["no voice was made of what was heard: no pitch"]
