"""The node that shifts the key: positions, changes while it plays, holes, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.errors import ConfigError
from audio_pipeline.frame import audio_frame
from audio_pipeline.nodes.key import NODE, Settings
from tests.dsp.chunking import tone
from tests.nodes.fake import FakeContext, run

RATE = 44_100


def strongest_hz(x: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(x[:, 0] * np.hanning(len(x))))
    return float(np.argmax(power) * RATE / len(x))


@pytest.mark.parametrize("sound", ["band", "voice"])
@pytest.mark.parametrize("size", [1024, 4_410, 1 << 20])
def test_sample_p_stays_sample_p(sound: str, size: int) -> None:
    x, ctx = tone(2 * RATE, 440.0, RATE, 2), FakeContext(RATE)
    run(NODE(Settings(semitones=3.0, sound=sound)), ctx, x, size, position=480)
    y = ctx.emitted()
    assert y.shape == x.shape and ctx.sent["out"][0].position == 480
    assert strongest_hz(y[RATE // 2 :]) == pytest.approx(440 * 2 ** (3 / 12), abs=1.0)


def test_any_cut_gives_the_same_samples() -> None:
    x, outputs = tone(RATE, 440.0, RATE, 2), []
    for size in (17, 480, 1 << 20):
        ctx = FakeContext(RATE)
        run(NODE(Settings(semitones=-2.0)), ctx, x, size)
        outputs.append(ctx.emitted())
    assert np.array_equal(outputs[0], outputs[1]) and np.array_equal(outputs[0], outputs[2])


def test_at_zero_it_is_the_input_to_the_bit() -> None:
    x, ctx = tone(RATE, 440.0, RATE, 2), FakeContext(RATE)
    run(NODE(Settings()), ctx, x, 441)
    assert np.array_equal(ctx.emitted(), x)


def test_a_start_beyond_the_largest_shift_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"semitones: expected at most `most` \(6\) up or down, got 7"):
        NODE(Settings(semitones=7.0))


def test_a_smaller_largest_shift_costs_less_latency() -> None:
    assert NODE.estimate(Settings(most=2.0), RATE).total < NODE.estimate(Settings(most=12.0), RATE).total


def test_a_change_while_it_plays_is_heard_and_may_not_exceed_the_largest_shift() -> None:
    x, ctx, node = tone(3 * RATE, 440.0, RATE, 2), FakeContext(RATE), NODE(Settings(most=2.0))
    node.open(ctx)
    for at in range(0, len(x), 441):
        if at == RATE // 441 * 441:
            node.settings = Settings(semitones=5.0, most=2.0)
            node.on_param("semitones", 5.0, at, ctx)
        node.process({"in": audio_frame(x[at : at + 441], at, RATE)}, ctx)
    node.flush(ctx)
    y = ctx.emitted()
    assert len(y) == len(x) and np.array_equal(y[: RATE // 2], x[: RATE // 2])
    assert strongest_hz(y[2 * RATE :]) == pytest.approx(440 * 2 ** (2 / 12), abs=1.0)
    assert any("5 semitones are more than `most` allows: 2 are used" in line for line in ctx.logs)


def test_sound_after_a_hole_begins_anew_where_it_is() -> None:
    x, ctx, node = tone(RATE, 440.0, RATE, 2), FakeContext(RATE), NODE(Settings(semitones=3.0))
    node.open(ctx)
    node.process({"in": audio_frame(x, 0, RATE)}, ctx)
    node.reset(5 * RATE, "discontinuity", ctx)
    node.process({"in": audio_frame(x, 5 * RATE, RATE)}, ctx)
    node.flush(ctx)
    ends = [(frame.position, frame.position + frame.samples) for frame in ctx.sent["out"]]
    assert ends[0][0] == 0 and ends[-1][1] == 6 * RATE
    assert sum(end - begin for begin, end in ends) == 2 * RATE
