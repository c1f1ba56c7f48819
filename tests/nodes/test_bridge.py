from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.clock import ClockLine
from audio_pipeline.dsp.sinc import HALF
from audio_pipeline.frame import Flag, audio_frame
from audio_pipeline.nodes.bridge import Bridge, Settings
from tests.nodes.fake import SECOND, FakeContext, noise, run, sine

RATE, BLOCK = 48_000, 480


class Feed:
    """A card whose clock is `ppm` faster than the graph's, through a bridge."""

    def __init__(self, ppm: float, *, at: int = 0, hz: float = 997.0) -> None:
        self.ctx, self.node = FakeContext(RATE), Bridge(Settings())
        self.rate, self.position, self.hz = RATE * (1 + ppm * 1e-6), at, hz
        self.ctx.foreign = ClockLine(0.0, SECOND, self.rate)
        self.node.open(self.ctx)

    def push(self, blocks: int) -> None:
        line = self.ctx.foreign
        assert line is not None
        for _ in range(blocks):
            t = np.arange(self.position, self.position + BLOCK) / self.rate
            x = (0.5 * np.sin(2 * np.pi * self.hz * t)).astype(np.float32)[:, None]
            end_ns = line.host_ns_at(self.position + BLOCK)
            self.ctx.now = end_ns
            self.node.process({"in": audio_frame(x, self.position, RATE, captured_ns=end_ns)}, self.ctx)
            self.position += BLOCK


def test_what_shares_a_clock_passes_untouched() -> None:
    ctx, x = FakeContext(RATE), noise(5000)
    run(Bridge(Settings()), ctx, x, 480, position=77)
    assert np.array_equal(ctx.emitted(), x) and ctx.sent["out"][0].position == 77
    assert Bridge.converts(Settings(), same_clock=True) is False
    assert Bridge.converts(Settings(mode="always"), same_clock=True) is True


@pytest.mark.parametrize("ppm", [200.0, -200.0])
def test_sound_keeps_its_time_of_day(ppm: float) -> None:
    """A tone of the card comes out as the same tone in the graph's time: position says when it was captured."""
    feed = Feed(ppm, at=3000)
    feed.push(4000)
    y = feed.ctx.emitted()[:, 0]
    first = feed.ctx.sent["out"][0].position
    t = (np.arange(len(y)) + first) / RATE
    error = (y - 0.5 * np.sin(2 * np.pi * 997 * t))[35 * RATE :]
    # 1 ns, to which host times are rounded, is 6e-6 of a period: -104 dB; what the loop still settles is below -80 dB
    assert 10 * np.log10(np.mean(error**2) / 0.125) < -80
    assert feed.ctx.gauges["drift_ppm"] == pytest.approx(ppm, abs=0.1)
    assert abs(feed.ctx.gauges["error_samples"]) < 0.1
    assert len(y) == pytest.approx(4000 * BLOCK / (1 + ppm * 1e-6), abs=2 * BLOCK)
    assert feed.ctx.counters["jumps"] == 0


def test_an_impulse_takes_what_is_declared() -> None:
    """At most the look-ahead of the interpolation and one frame of re-framing, which the plan adds."""
    feed = Feed(100.0)
    feed.push(500)
    worst = 0.0
    for _ in range(200):
        feed.push(1)
        frame = feed.ctx.sent["out"][-1]
        worst = max(worst, feed.ctx.position_at(feed.ctx.now) - frame.end)
    assert BLOCK / 2 < worst <= feed.node.latency().total + BLOCK
    assert feed.node.latency().total == HALF


def test_stamps_are_those_of_the_sound() -> None:
    feed = Feed(-150.0)
    feed.push(500)
    for frame in feed.ctx.sent["out"][100:]:
        assert abs(frame.captured_ns - feed.ctx.host_ns_at(frame.end)) < 20_000


def test_the_end_flushes_the_tail() -> None:
    feed = Feed(0.0)
    feed.push(10)
    feed.node.flush(feed.ctx)
    assert len(feed.ctx.emitted()) == 10 * BLOCK


def test_a_hole_goes_on_where_the_clock_is() -> None:
    """After a second without sound: no position twice, and the time of day still holds."""
    feed = Feed(50.0, hz=100.0)
    feed.push(500)
    feed.position += RATE
    feed.node.reset(feed.position, "discontinuity", feed.ctx)
    feed.push(500)
    frames = feed.ctx.sent["out"]
    holes = [b.position - a.end for a, b in zip(frames, frames[1:], strict=False) if a.end != b.position]
    assert len(holes) == 1 and holes[0] == pytest.approx(RATE, abs=BLOCK + HALF + 5)
    assert feed.ctx.counters["jumps"] == 1
    last = frames[-1]
    t = (np.arange(last.samples) + last.position) / RATE
    np.testing.assert_allclose(last.audio()[:, 0], 0.5 * np.sin(2 * np.pi * 100 * t), atol=1e-3)


def test_a_clock_that_jumps_is_followed_and_nothing_goes_back() -> None:
    feed = Feed(0.0, hz=100.0)
    feed.push(300)
    for offset in (4800, -9600):
        line = feed.ctx.foreign
        assert line is not None
        feed.ctx.foreign = ClockLine(line.position + offset, line.host_ns, line.rate)
        feed.push(300)
    frames = feed.ctx.sent["out"]
    assert all(b.position >= a.end for a, b in zip(frames, frames[1:], strict=False))
    assert feed.ctx.counters["jumps"] == 2
    assert abs(feed.ctx.gauges["error_samples"]) < 1


def test_the_map_is_told() -> None:
    feed = Feed(100.0)
    feed.push(2500)
    maps = [event for event in feed.ctx.events if event.kind == "bridge"]
    assert len(maps) == 3
    for event in maps[1:]:
        assert event.data["input_position"] == pytest.approx(event.position * 1.0001, abs=1)


def test_silence_and_no_sound() -> None:
    feed = Feed(10.0)
    feed.node.flush(feed.ctx)
    feed.node.process({"in": audio_frame(sine(0, RATE, channels=1), 0, RATE, flags=Flag.NONE)}, feed.ctx)
    assert not feed.ctx.sent["out"]
