"""The node that says text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audio_pipeline.errors import NodeError
from audio_pipeline.frame import Samples
from audio_pipeline.graph import loads
from audio_pipeline.local import LocalGraph
from audio_pipeline.models import perth, voices, weights
from audio_pipeline.models.perth import Perth
from audio_pipeline.models.talker import Talker
from audio_pipeline.models.talker_live import LiveTalker, at_rate
from audio_pipeline.nodes import tts
from audio_pipeline.nodes.tts import NODE, Settings, Tts
from tests.models.test_talker import Beeps
from tests.nodes.fake import FakeContext, InTurn

STORY = "Well, hello there. Three of us went to the old mill, because it rained."


@pytest.fixture(autouse=True)
def beeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "open_voice", lambda name, **settings: Beeps())
    monkeypatch.setattr(tts, "ThreadPoolExecutor", InTurn)


def live(**settings: Any) -> tuple[Tts, FakeContext, Iterator[Samples | int]]:
    node, ctx = NODE(Settings(watermark=False, **settings)), FakeContext(48_000)
    node.open(ctx)
    return node, ctx, node.blocks(ctx)


def heard(blocks: Iterator[Samples | int], frames: int) -> Samples:
    """The next so many frames of 10 ms, mono."""
    parts: list[Samples] = []
    while sum(map(len, parts)) < frames * 480:
        block = next(blocks)
        parts.append(np.zeros(block, np.float32) if isinstance(block, int) else block[:, 0])
    return np.concatenate(parts)


def test_silence_until_there_is_a_text_then_all_of_it() -> None:
    node, ctx, blocks = live()
    assert not heard(blocks, 5).any()
    node.on_param("text", STORY, 0, ctx)
    sound = heard(blocks, 400)
    expected = np.concatenate([piece for _, piece in at_rate(Talker(Beeps(), None), STORY, 48_000)])
    assert sound[: len(expected)] == pytest.approx(expected, abs=1e-6)
    assert not sound[len(expected) :].any()


def test_clauses_are_events_at_the_position_at_which_they_are_heard() -> None:
    node, ctx, blocks = live(text=STORY)
    sound = heard(blocks, 500)
    clauses = [event for event in ctx.events if event.kind == "clause"]
    assert " ".join(event.data["text"] for event in clauses) == STORY
    for event in clauses:  # 15 ms of lead, then the tone
        assert np.abs(sound[event.position + 1_200 : event.position + 2_400]).max() > 0.4
        assert np.abs(sound[max(event.position - 1_000, 0) : event.position]).max(initial=0) < 0.02
    assert [event.kind for event in ctx.events][-1] == "done"


@pytest.mark.parametrize("text", ["", "Something else entirely."])
def test_a_new_text_or_none_ends_the_old_one_within_10_ms(text: str) -> None:
    node, ctx, blocks = live(text="word " * 100)
    heard(blocks, 50)
    node.on_param("text", text, 0, ctx)
    sound = heard(blocks, 100)
    gap = sound[480:960] if text else sound[480:]
    assert np.abs(gap[: 480 if text else len(gap)]).max() < 0.6
    assert np.abs(sound[:480]).max() > 0 and abs(sound[470]) < 0.02
    if not text:
        assert not gap.any()
    else:
        said = [event.data["text"] for event in ctx.events if event.kind == "clause"]
        assert said[-1].startswith("Something")


def test_offline_it_says_its_text_and_ends(tmp_path: Path) -> None:
    text = f"""
version: 1
nodes:
  voice: {{kind: tts, text: "{STORY}", watermark: false}}
  rec: {{kind: recorder, subtype: float32, inputs: {{said: {{from: voice, policy: block}}}}}}
"""
    with LocalGraph(loads(text), tmp_path) as graph:
        graph.run_to_end()
    y, rate = soundfile.read(tmp_path / "said.wav", dtype="float32")
    expected = np.concatenate([piece for _, piece in at_rate(Talker(Beeps(), None), STORY, rate)])
    assert len(y) == len(expected)
    assert y[:, 0] == pytest.approx(expected, abs=1e-6) and np.array_equal(y[:, 0], y[:, 1])


def test_a_restarted_voice_does_not_say_it_again() -> None:
    node = NODE(Settings(text=STORY, watermark=False))
    node.restore({"position": 4_800, "said": STORY})
    ctx = FakeContext(48_000)
    node.open(ctx)
    assert not heard(node.blocks(ctx), 100).any()


def test_what_fails_in_the_voice_is_raised_where_it_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Beeps, text: str) -> Samples:
        if text != "Hello.":
            raise MemoryError("no memory for a voice")
        return np.zeros(0, np.float32)

    monkeypatch.setattr(Beeps, "speak", broken)
    _, _, blocks = live(text=STORY)
    with pytest.raises(MemoryError, match="no memory for a voice"):
        heard(blocks, 10)


def test_it_does_not_start_when_the_mark_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    if weights.locate("perth").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch perth)")
    monkeypatch.setattr(Perth, "residual", lambda self, x: x * 0)
    with pytest.raises(NodeError, match="the watermark is not found"):
        NODE(Settings()).open(FakeContext(48_000))
    assert perth.PRESENT == 0.5


@pytest.mark.parametrize("size", [1, 17, 480, 1_024, 1 << 30])
def test_sound_taken_in_any_portions_is_the_same(size: int) -> None:
    talker = LiveTalker(Talker(Beeps(), None), 44_100, InTurn(), lambda: None)
    talker.say(STORY)
    parts = []
    while talker.busy:
        parts.append(talker.take(size)[0])
    expected = np.concatenate([piece for _, piece in at_rate(Talker(Beeps(), None), STORY, 44_100)])
    assert np.array_equal(np.concatenate(parts), expected)
