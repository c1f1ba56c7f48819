from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile

from audio_pipeline.dsp.utterances import Detect
from audio_pipeline.errors import ConfigError
from audio_pipeline.frame import Flag, Samples, audio_frame
from audio_pipeline.models.weights import store
from audio_pipeline.nodes import vad
from audio_pipeline.nodes.vad import NODE, Settings
from tests.nodes.fake import FakeContext, noise, run
from tests.shared import shared

RATE = 48_000
SPOKEN = [(1.0, 2.0), (2.2, 3.0), (4.0, 4.05), (5.0, 6.5)]  # a pause of 200 ms, a knock of 50 ms


@pytest.fixture(autouse=True)
def loud_is_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for a model: what is loud is speech, from the window on that is loud for the most part."""

    def detectors(settings: Settings) -> Callable[[], Detect]:
        return lambda: lambda x: float(np.mean(np.abs(x) > 0.01) > 0.25)

    monkeypatch.setattr(vad, "_detectors", detectors)


def speech(seconds: float = 7.0, rate: int = RATE) -> Samples:
    x = np.zeros((7 * rate, 2), np.float32)
    for start, stop in SPOKEN:
        part = slice(round(start * rate), round(stop * rate))
        x[part] = noise(part.stop - part.start, level=0.2)
    return x[: round(seconds * rate)]


def settings(**changes: Any) -> Settings:
    return Settings(**{"engine": "webrtc", "pad_ms": 100, **changes})


def segments(ctx: FakeContext) -> list[tuple[int, int]]:
    return [(event.data["start"], event.data["end"]) for event in ctx.events if event.kind == "segment"]


def test_speech_is_found_with_its_edges() -> None:
    ctx = FakeContext(RATE)
    run(NODE(settings()), ctx, speech(), 480)
    window = 960 + 48  # 20 ms, and the slope of the rate converter's filter
    expected = [(0.9, 3.1), (4.9, 6.6)]  # the short pause is bridged, the knock ignored, 100 ms of pad
    assert len(segments(ctx)) == 2
    for found, wanted in zip(segments(ctx), expected, strict=True):
        assert found == pytest.approx((wanted[0] * RATE, wanted[1] * RATE), abs=window)


@pytest.mark.parametrize("size", [1, 17, 480, 1_024, 1 << 20])
@pytest.mark.parametrize("gate", [False, True])
def test_nothing_depends_on_block_size(size: int, gate: bool) -> None:
    x = speech(3.5) if size > 1 else speech(1.5)
    whole, cut = FakeContext(RATE), FakeContext(RATE)
    run(NODE(settings(gate=gate)), whole, x, len(x), position=960)
    run(NODE(settings(gate=gate)), cut, x, size, position=960)
    assert np.array_equal(cut.emitted(), whole.emitted())
    assert cut.events == whole.events
    assert marks(cut) == marks(whole)


def marks(ctx: FakeContext) -> list[tuple[int, Flag]]:
    return [(frame.position, frame.flags) for frame in ctx.sent["out"] if frame.flags]


def test_sound_passes_unchanged_with_marks_at_the_edges() -> None:
    ctx, x = FakeContext(RATE), speech()
    run(NODE(settings()), ctx, x, 480)
    assert np.array_equal(ctx.emitted(), x)
    expected = []
    for start, end in segments(ctx):
        expected += [(start, Flag.SEGMENT_START), (end - 1, Flag.SEGMENT_END)]
    assert marks(ctx) == expected


def test_the_gate_lets_only_speech_through() -> None:
    ctx, x = FakeContext(RATE), speech() + np.float32(0.003)  # a hum that is no speech
    run(NODE(settings(gate=True)), ctx, x, 480)
    y, fade = ctx.emitted(), RATE * vad.FADE_MS // 1000
    inside = np.zeros(len(y), bool)
    for start, end in segments(ctx):
        assert np.array_equal(y[start + fade : end], x[start + fade : end])
        inside[start : end + fade] = True
    assert not y[~inside].any()


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("changes", [{}, {"min_speech_ms": 0, "pad_ms": 0}, {"min_speech_ms": 400}])
def test_the_stated_latency_holds_and_no_edge_comes_too_late(rate: int, changes: dict[str, int]) -> None:
    ctx, node, x = FakeContext(rate), NODE(settings(**changes)), speech(rate=rate)
    node.open(ctx)
    stated, frame = node.latency().total, rate // 100
    for position in range(0, len(x), frame):
        node.process({"in": audio_frame(x[position : position + frame], position, rate)}, ctx)
        sent = ctx.sent["out"][-1].end if ctx.sent["out"] else 0
        assert sent >= position + frame - stated
    node.flush(ctx)
    found = segments(ctx)
    assert found
    assert len(marks(ctx)) == 2 * len(found)


def test_a_jump_ends_the_utterance_where_the_sound_ended() -> None:
    ctx, node, x = FakeContext(RATE), NODE(settings()), noise(RATE, level=0.2)
    node.open(ctx)
    node.process({"in": audio_frame(x, 0, RATE)}, ctx)
    node.reset(10 * RATE, "discontinuity", ctx)
    node.process({"in": audio_frame(x, 10 * RATE, RATE)}, ctx)
    node.flush(ctx)
    assert segments(ctx) == [(0, RATE), (10 * RATE, 11 * RATE)]
    assert sum(frame.samples for frame in ctx.sent["out"]) == 2 * RATE


def test_a_cancel_drops_what_is_inside() -> None:
    ctx, node, x = FakeContext(RATE), NODE(settings()), noise(RATE, level=0.2)
    node.open(ctx)
    node.process({"in": audio_frame(x, 0, RATE)}, ctx)
    sent = len(ctx.emitted())
    node.reset(-1, "cancel", ctx)
    node.flush(ctx)
    assert len(ctx.emitted()) == sent < RATE
    assert segments(ctx) == []


def test_an_hour_of_silence_is_no_speech() -> None:
    ctx, node = FakeContext(16_000), NODE(settings())
    node.open(ctx)
    minute = np.zeros((16_000 * 60, 1), np.float32)
    for i in range(60):
        node.process({"in": audio_frame(minute, i * len(minute), 16_000)}, ctx)
    node.flush(ctx)
    assert ctx.events == []
    assert sum(frame.samples for frame in ctx.sent["out"]) == 3_600 * 16_000


def test_padding_longer_than_the_pause_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"pad_ms: expected at most min_silence_ms \(100\), got 200"):
        NODE(settings(min_silence_ms=100, pad_ms=200))


@pytest.mark.parametrize("engine", ["silero", "webrtc"])
def test_true_speech_is_found(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two readings (one with a pause of over a second) with two seconds of faint noise around each."""
    monkeypatch.undo()
    if engine == "silero" and store.locate("silero-vad").folder is None:
        pytest.skip("the weights of Silero VAD are not here: audio-pipeline models fetch silero-vad")
    pause = noise(2 * 16_000, 1, level=1e-4)
    parts, spoken, at = [pause], [], len(pause)
    for name in ("1688/1688-142285-0000.flac", "1998/1998-15444-0000.flac"):
        sentence, rate = soundfile.read(shared(f"speech/{name}"), dtype="float32", always_2d=True)
        assert rate == 16_000
        spoken.append((at, at + len(sentence)))
        parts += [sentence, pause]
        at += len(sentence) + len(pause)
    ctx = FakeContext(16_000)
    run(NODE(settings(engine=engine, min_silence_ms=1_500)), ctx, np.concatenate(parts), 320)
    found = segments(ctx)
    assert len(found) == 2
    for (start, end), (first, last) in zip(found, spoken, strict=True):
        assert first - 0.3 * 16_000 <= start <= first + 0.6 * 16_000  # readers breathe before they begin
        assert last - 0.8 * 16_000 <= end <= last + 0.3 * 16_000
