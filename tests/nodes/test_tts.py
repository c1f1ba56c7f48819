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
from audio_pipeline.graph.load import loads
from audio_pipeline.models.hearing import perth
from audio_pipeline.models.hearing.perth import Perth
from audio_pipeline.models.speech.kokoro import KokoroVoice
from audio_pipeline.models.speech.talker import Talker
from audio_pipeline.models.speech.talker_live import LiveTalker, at_rate
from audio_pipeline.models.voices import by_name
from audio_pipeline.models.weights import store
from audio_pipeline.nodes import tts
from audio_pipeline.nodes.tts import NODE, Settings, Tts
from audio_pipeline.supervisor.local import LocalGraph
from tests.models.test_talker import Beeps
from tests.nodes.fake import FakeContext, InTurn

STORY = "Well, hello there. Three of us went to the old mill, because it rained."


@pytest.fixture(autouse=True)
def beeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_name, "open_voice", lambda name, **settings: Beeps())
    monkeypatch.setattr(tts.threads, "pool", InTurn)


def live(**settings: Any) -> tuple[Tts, FakeContext, Iterator[Samples | int]]:
    node, ctx = NODE(Settings(watermark=False, **settings)), FakeContext(48_000)
    node.open(ctx)
    return node, ctx, node.blocks(ctx)


def spoken(text: str, rate: int) -> Samples:
    """The whole text as it should sound."""
    talker = Talker(Beeps(), None)
    return np.concatenate([part.sound for part in at_rate(talker.synthesise([text]), talker.rate, rate)])


def pull(blocks: Iterator[Samples | int], frames: int) -> Samples:
    """The next so many frames of 10 ms, mono."""
    parts: list[Samples] = []
    while sum(map(len, parts)) < frames * 480:
        block = next(blocks)
        parts.append(np.zeros(block, np.float32) if isinstance(block, int) else block[:, 0])
    return np.concatenate(parts)


def test_silence_until_there_is_a_text_then_all_of_it() -> None:
    node, ctx, blocks = live()
    assert not pull(blocks, 5).any()
    node.on_param("text", STORY, 0, ctx)
    sound = pull(blocks, 400)
    expected = spoken(STORY, 48_000)
    assert sound[: len(expected)] == pytest.approx(expected, abs=1e-6)
    assert not sound[len(expected) :].any()


def test_clauses_are_events_at_the_position_at_which_they_are_heard() -> None:
    node, ctx, blocks = live(text=STORY)
    sound = pull(blocks, 500)
    clauses = [event for event in ctx.events if event.kind == "clause"]
    assert " ".join(event.data["text"] for event in clauses) == STORY
    for event in clauses:  # 15 ms of lead, then the tone
        assert np.abs(sound[event.position + 1_200 : event.position + 2_400]).max() > 0.4
        assert np.abs(sound[max(event.position - 1_000, 0) : event.position]).max(initial=0) < 0.02
    assert [event.kind for event in ctx.events][-1] == "done"


def test_the_setting_does_what_the_events_do() -> None:
    """`set` gives the voice a `cancel` and the text: sound and events are the same, sample for sample."""
    found = []
    for by_set in (True, False):
        node, ctx, blocks = live()
        write(node, ctx, "word " * 100, end=True)
        before = pull(blocks, 50)
        if by_set:
            node.on_param("text", STORY, 0, ctx)
        else:
            node.on_event("text", {"kind": "cancel"}, 0, ctx)
            write(node, ctx, STORY, end=True)
        sound = np.concatenate([before, pull(blocks, 400)])
        found.append((sound, [(event.kind, event.position) for event in ctx.events if event.kind != "start"]))
    assert found[0][1] == found[1][1] and ("cancelled", 24_000) in found[0][1]
    assert np.array_equal(found[0][0], found[1][0])


@pytest.mark.parametrize("text", ["", "Something else entirely."])
def test_a_new_text_or_none_ends_the_old_one_within_10_ms(text: str) -> None:
    node, ctx, blocks = live(text="word " * 100)
    pull(blocks, 50)
    node.on_param("text", text, 0, ctx)
    sound = pull(blocks, 100)
    gap = sound[480:960] if text else sound[480:]
    assert np.abs(gap[: 480 if text else len(gap)]).max() < 0.6
    assert np.abs(sound[:480]).max() > 0 and abs(sound[470]) < 0.02
    if not text:
        assert not gap.any()
    else:
        spoken = [event.data["text"] for event in ctx.events if event.kind == "clause"]
        assert spoken[-1].startswith("Something")


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
    expected = spoken(STORY, rate)
    assert len(y) == len(expected)
    assert y[:, 0] == pytest.approx(expected, abs=1e-6) and np.array_equal(y[:, 0], y[:, 1])


def test_a_restarted_voice_does_not_say_it_again() -> None:
    node = NODE(Settings(text=STORY, watermark=False))
    node.restore({"position": 4_800, "last_text": STORY})
    ctx = FakeContext(48_000)
    node.open(ctx)
    assert not pull(node.blocks(ctx), 100).any()


def test_what_a_predecessor_did_not_finish_is_told_once_and_not_said() -> None:
    node, ctx, blocks = live()
    assert node.snapshot()["unfinished"] == ""
    write(node, ctx, STORY, end=True)
    assert node.snapshot()["unfinished"] == STORY
    pull(blocks, 60)
    spoken = [event.data["text"] for event in ctx.events if event.kind == "clause"][-1]
    state = node.snapshot()
    assert state["unfinished"] == spoken and spoken in STORY
    successor, later = NODE(Settings(watermark=False)), FakeContext(48_000, incarnation=1)
    successor.restore(state)
    successor.open(later)
    assert later.logs == [f"the process before this one ended while it said {spoken!r}: the rest is not said"]
    assert not pull(successor.blocks(later), 100).any() and successor.snapshot()["unfinished"] == ""
    pull(blocks, 400)
    assert kinds(ctx)[-1] == "done" and node.snapshot()["unfinished"] == ""


@pytest.mark.parametrize("how", ["cancel", "fail"])
def test_what_is_given_up_is_not_unfinished(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "fail":
        failing(monkeypatch, MemoryError("none"))
    node, ctx, blocks = live()
    write(node, ctx, "The mill, the mill and the old mill. " * 20, end=True)
    if how == "cancel":
        node.on_command("cancel", {}, ctx)
    pull(blocks, 5)
    assert node.snapshot()["unfinished"] == ""


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A voice that fails at the word "mill"."""
    synthesise = Beeps.synthesise

    def fail(self: Beeps, text: str) -> Samples:
        if "mill" in text:
            raise error
        return synthesise(self, text)

    monkeypatch.setattr(Beeps, "synthesise", fail)


@pytest.mark.parametrize("error", [MemoryError("no memory for a voice"), NodeError("the voice failed: its network")])
def test_a_voice_without_memory_says_so_and_lives_on(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    failing(monkeypatch, error)
    node, ctx, blocks = live(text=STORY)
    pull(blocks, 100)
    assert ctx.logs == [f"this text is given up: {error}"]
    assert [event.data["why"] for event in ctx.events if event.kind == "failed"] == [str(error)]
    node.on_param("text", "Something else entirely.", 0, ctx)
    assert np.abs(pull(blocks, 100)).max() > 0.4


def test_a_fault_of_the_program_is_raised_where_it_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, ZeroDivisionError("a bug"))
    _, _, blocks = live(text=STORY)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        pull(blocks, 10)


def write(node: Tts, ctx: FakeContext, text: str, *, end: bool = False) -> None:
    node.on_event("text", {"kind": "text", "text": text, "end": end}, 0, ctx)


def kinds(ctx: FakeContext) -> list[str]:
    return [event.kind for event in ctx.events if event.kind != "word"]


def test_words_are_spoken_while_the_rest_is_still_being_written() -> None:
    node, ctx, blocks = live()
    write(node, ctx, "Well, hello there. Three of us")
    assert np.abs(pull(blocks, 30)).max() > 0.4
    assert [event.data["text"] for event in ctx.events if event.kind == "clause"] == ["Well, hello there."]
    write(node, ctx, " went to the old mill, because it rained.")
    node.on_event("text", {"kind": "end"}, 0, ctx)
    pull(blocks, 300)
    assert " ".join(event.data["text"] for event in ctx.events if event.kind == "clause") == STORY
    assert kinds(ctx)[0] == "start" and kinds(ctx)[-1] == "done"


def test_texts_follow_each_other_and_events_have_the_places_where_they_are_heard() -> None:
    node, ctx, blocks = live()
    write(node, ctx, "One two. ", end=True)
    write(node, ctx, "Three four.", end=True)
    sound = pull(blocks, 150)
    assert kinds(ctx) == ["start", "clause", "clause_end", "clause", "clause_end", "done"]
    timings = [event for event in ctx.events if event.kind == "word"]
    assert [event.data["text"] for event in timings] == ["One", "two.", "Three", "four."]
    for event in timings:  # 0.1 s of tone each
        middle = event.position + event.data["samples"] // 2
        assert np.abs(sound[middle - 480 : middle + 480]).max() > 0.4
    ended = [event.position for event in ctx.events if event.kind == "clause_end"]
    assert not sound[ended[-1] :].any()


def test_a_text_that_stalls_is_said_as_far_as_it_was_written_and_may_go_on() -> None:
    node, ctx, blocks = live(stall_s=1.0)
    write(node, ctx, "Well, hello there. Three of us went")
    pull(blocks, 30)
    ctx.advance(1.1)
    pull(blocks, 60)
    clauses = [event.data["text"] for event in ctx.events if event.kind == "clause"]
    assert clauses == ["Well, hello there.", "Three of us went"]
    assert ctx.logs == ["no further text for 1 s: the text is spoken as far as it came, and may continue"]
    assert "stalled" in kinds(ctx) and "done" not in kinds(ctx)
    write(node, ctx, " to the old mill.", end=True)
    pull(blocks, 150)
    assert [event.data["text"] for event in ctx.events if event.kind == "clause"][-1] == "to the old mill."
    assert kinds(ctx)[-1] == "done" and len(ctx.logs) == 1


def test_a_text_whose_writer_has_ended_is_said_to_its_end() -> None:
    node, ctx, blocks = live()
    write(node, ctx, "Three of us went")
    node.on_events_end("text", ctx)
    pull(blocks, 100)
    assert kinds(ctx) == ["start", "clause", "clause_end", "done"]


@pytest.mark.parametrize("how", ["command", "text", "vad"])
def test_cancel_ends_in_a_fade_of_10_ms_and_nothing_old_is_heard_after(how: str) -> None:
    node, ctx, blocks = live(text="word " * 100)
    pull(blocks, 50)
    if how == "command":
        node.on_command("cancel", {}, ctx)
    elif how == "text":
        node.on_event("text", {"kind": "cancel"}, 0, ctx)
    else:
        node.on_event("interrupt", {"kind": "start"}, 0, ctx)
    sound = pull(blocks, 200)
    assert not sound[480:].any()
    assert np.abs(np.diff(sound[:481])).max() < 0.04  # the tone's own steps at 440 Hz are 0.03
    assert kinds(ctx)[-1] == "cancelled"
    write(node, ctx, "Something else.", end=True)
    assert np.abs(pull(blocks, 30)).max() > 0.4


class Network:
    """Stands in for Kokoro: a constant as high as the style's numbers, a tenth of a second a sign."""

    rate, signs = 24_000, frozenset("a")

    def timed(self, phonemes: str, style: Samples, speed: float) -> tuple[Samples, Samples]:
        return np.full(2_400 * len(phonemes), style[0], np.float32), np.zeros(0, np.float32)

    def cancel(self) -> None:
        pass


def test_a_style_that_is_withdrawn_is_not_heard_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    own = KokoroVoice(Network(), np.full((1, 256), 0.2, np.float32))  # type: ignore[arg-type]
    monkeypatch.setattr(by_name, "open_voice", lambda name, **settings: own)
    node, ctx, blocks = live(voice="jf_alpha")
    node.on_event("voice", {"kind": "withdrawn"}, 0, ctx)
    assert not ctx.logs and not ctx.events
    node.on_event("voice", {"kind": "style", "style": [0.4] * 256}, 0, ctx)
    node.on_param("text", STORY, 0, ctx)
    loud = np.abs(pull(blocks, 30)).max()
    assert loud > 0
    node.on_event("voice", {"kind": "withdrawn"}, 0, ctx)
    assert not pull(blocks, 400)[480:].any()
    assert kinds(ctx)[-1] == "cancelled"
    assert ctx.logs == ["consent was revoked: speech in that voice stops; from now on the voice is jf_alpha"]
    write(node, ctx, STORY, end=True)
    assert np.abs(pull(blocks, 30)).max() == pytest.approx(loud / 2, rel=0.01)


@pytest.mark.parametrize("text", ["", "   ", "\U0001f600\U0001f600", "...", "\u3002"])
def test_a_text_without_a_word_is_silence_and_said_to_be(text: str) -> None:
    node, ctx, blocks = live()
    write(node, ctx, text, end=True)
    assert not pull(blocks, 20).any()
    failed = [event.data["why"] for event in ctx.events if event.kind == "failed"]
    assert failed == (["there is no text to speak in it"] if text.strip() else [])
    assert ctx.logs == [f"this text is given up: {why}" for why in failed]
    write(node, ctx, "Something else.", end=True)
    assert np.abs(pull(blocks, 30)).max() > 0.4


def test_a_sign_behind_words_is_no_text_without_a_word() -> None:
    node, ctx, blocks = live()
    write(node, ctx, "Well, hello there. ")
    write(node, ctx, "\U0001f600", end=True)
    pull(blocks, 100)
    assert kinds(ctx)[-1] == "done" and not ctx.logs


def test_what_is_left_out_is_an_event_and_words_of_another_script_a_line_in_the_log() -> None:
    node, ctx, blocks = live()
    write(node, ctx, "Well, hello there. \U0001f600 ")
    write(node, ctx, "Москва is far.", end=True)
    pull(blocks, 200)
    assert [event.data["what"] for event in ctx.events if event.kind == "left_out"] == ["'\U0001f600', 'Москва'"]
    assert ctx.logs == ["left out as unpronounceable for this voice: '\U0001f600', 'Москва'"]
    assert kinds(ctx)[-1] == "done"


def test_offline_what_is_left_out_is_an_event() -> None:
    node, ctx = NODE(Settings(text="Hello 你好.", watermark=False)), FakeContext(48_000, live=False)
    node.open(ctx)
    assert list(node.blocks(ctx))
    assert [event.data for event in ctx.events if event.kind == "left_out"] == [{"what": "'你好'"}]


def test_a_number_that_comes_in_two_events_is_one_number() -> None:
    node, ctx, blocks = live()
    for part in ("It costs $1,2", "34.5", "0 today", ", all of it."):
        write(node, ctx, part)
    write(node, ctx, "", end=True)
    pull(blocks, 400)
    clauses = " ".join(event.data["text"] for event in ctx.events if event.kind == "clause")
    assert clauses == "It costs one thousand two hundred thirty-four dollars and fifty cents today, all of it."


def test_offline_a_text_without_a_word_is_said_to_be() -> None:
    node, ctx = NODE(Settings(text="\U0001f600", watermark=False)), FakeContext(48_000, live=False)
    node.open(ctx)
    assert not list(node.blocks(ctx))
    assert kinds(ctx) == ["failed"] and ctx.logs == ["this text is given up: there is no text to speak in it"]


def test_offline_texts_of_events_are_said_from_their_positions_on(tmp_path: Path) -> None:
    node, ctx = NODE(Settings(watermark=False)), FakeContext(48_000, live=False)
    node.input_settings = {"text": None}
    node.open(ctx)
    blocks = node.blocks(ctx)
    node.on_event("text", {"kind": "text", "text": "One two. "}, 24_000, ctx)
    assert next(blocks) == 0  # more may come
    node.on_event("text", {"kind": "text", "text": "Three.", "end": True}, 30_000, ctx)
    node.on_events_end("text", ctx)
    parts = [np.zeros(part) if isinstance(part, int) else part[:, 0] for part in blocks]
    sound = np.concatenate(parts)
    assert not sound[:24_000].any()
    assert sound[24_000:] == pytest.approx(spoken("One two. Three.", 48_000), abs=1e-6)


def test_it_does_not_start_when_the_mark_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    if store.locate("perth").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch perth)")
    monkeypatch.setattr(Perth, "residual", lambda self, x: x * 0)
    with pytest.raises(NodeError, match="the watermark is not found"):
        NODE(Settings()).open(FakeContext(48_000))
    assert perth.PRESENT == 0.5


@pytest.mark.parametrize("size", [1, 17, 480, 1_024, 1 << 30])
def test_sound_taken_in_any_portions_is_the_same(size: int) -> None:
    talker = LiveTalker(Talker(Beeps(), None), 44_100, InTurn(), lambda: None)
    talker.write(STORY)
    talker.end()
    parts = []
    while talker.busy:
        parts.append(talker.take(size).sound)
    expected = spoken(STORY, 44_100)
    assert np.array_equal(np.concatenate(parts), expected)
