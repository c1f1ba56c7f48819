"""Capture and playback on a sound card: what is played into a PulseAudio sink is heard at its monitor."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from audio_pipeline.frame import audio_frame
from audio_pipeline.nodes import capture, playback
from tests.devices.pulse import plug, pulse, unplug  # noqa: F401
from tests.nodes.fake import SECOND, FakeContext, noise

pytestmark = pytest.mark.live
RATE, FRAME = 48_000, 480
PLAYED_S = 3


class RealTime(FakeContext):
    """A context whose time is the host's."""

    def __init__(self) -> None:
        super().__init__(RATE)
        self.start_ns = time.monotonic_ns()

    def now_ns(self) -> int:
        return time.monotonic_ns()


@pytest.mark.slow
@pytest.mark.usefixtures("pulse")
def test_what_is_played_is_captured_and_both_agree_on_the_clock() -> None:
    x, ctx, recorded = noise(PLAYED_S * RATE, level=0.2), RealTime(), RealTime()
    microphone, speaker = capture.NODE(capture.Settings()), playback.NODE(playback.Settings(buffer_ms=100.0))
    microphone.open(recorded)
    speaker.open(ctx)
    begin_ns, sent = ctx.now_ns(), 0
    ctx.start_ns = recorded.start_ns = begin_ns
    while sent < len(x):
        while sent < len(x) and begin_ns + sent * SECOND // RATE <= ctx.now_ns():
            frame = audio_frame(x[sent : sent + FRAME], sent, RATE, captured_ns=ctx.now_ns())
            speaker.process({"in": frame}, ctx)
            sent += FRAME
        speaker.poll(ctx)
        microphone.poll(recorded)
        time.sleep(0.003)  # a real device needs real time
    speaker.flush(ctx)
    time.sleep(0.2)
    microphone.poll(recorded)
    speaker.close()
    microphone.close()

    assert ctx.counters["stream_opens"] == 1
    assert ctx.gauges["silent"] == 0.0
    assert not ctx.logs
    for clocks in (ctx.clocks, recorded.clocks):
        assert len(clocks) > 20
        assert clocks[-1][2] == pytest.approx(RATE, rel=0.01)
    captured = np.concatenate([frame.audio() for frame in recorded.sent["out"]])[:, 0]
    at = int(np.argmax(np.correlate(captured[:RATE], x[:4_800, 0], "valid")))
    windows = [slice(k, k + 4_800) for k in range(0, len(x), 4_800)]
    exact = [np.allclose(captured[at:][w], x[w, 0], atol=1e-3) for w in windows if at + w.stop <= len(captured)]
    assert len(exact) >= 29  # to the end: the flush waits until the last sample has been heard
    assert np.mean(exact) >= 0.8  # a busy machine may stutter; where it does not, it is the same sound


class Running:
    """Both nodes, with a tone played all the time."""

    def __init__(self) -> None:
        self.ctx, self.recorded = RealTime(), RealTime()
        self.recorded.start_ns = self.ctx.start_ns
        self.microphone, self.speaker = capture.NODE(capture.Settings()), playback.NODE(playback.Settings())
        self.microphone.open(self.recorded)
        self.speaker.open(self.ctx)
        self.begin_ns, self.sent = self.ctx.now_ns(), 0

    def until(self, what: str, true_of: Callable[[], bool], patience_s: float = 30.0) -> None:
        """Both run until something is so."""
        end_ns = self.ctx.now_ns() + round(patience_s * SECOND)
        while not true_of():
            assert self.ctx.now_ns() < end_ns, f"{what}: {self.ctx.logs} {self.recorded.logs}"
            while self.begin_ns + self.sent * SECOND // RATE <= self.ctx.now_ns():
                x = np.full((FRAME, 2), 0.25, np.float32)
                frame = audio_frame(x, self.sent, RATE, captured_ns=self.ctx.now_ns())
                self.speaker.process({"in": frame}, self.ctx)
                self.sent += FRAME
            self.speaker.poll(self.ctx)
            self.microphone.poll(self.recorded)
            time.sleep(0.003)  # a real device needs real time

    def is_audible(self) -> bool:
        return bool((self.recorded.sent["out"][-1].audio() > 0.2).all())


@pytest.mark.slow
@pytest.mark.usefixtures("pulse")
def test_a_card_is_pulled_out_and_put_back_and_both_nodes_go_on() -> None:
    """Twice. Positions of what was played and of what was recorded join over all of it; time is that of the host."""
    run = Running()
    try:
        run.until("heard", lambda: bool(run.recorded.sent["out"]) and run.is_audible())
        for times in (1, 2):
            unplug()
            run.until("gone", lambda n=times: {c.counters["device_losses"] for c in (run.ctx, run.recorded)} == {n})
            blocks = len(run.ctx.sent["reference"])
            run.until("goes on", lambda n=blocks: len(run.ctx.sent["reference"]) > n + 50)
            plug()
            run.until("back", lambda: run.ctx.gauges["device_gone"] == 0 == run.recorded.gauges["device_gone"])
            run.until("heard again", run.is_audible)
    finally:
        run.speaker.close()
        run.microphone.close()
    for ctx, port in ((run.ctx, "reference"), (run.recorded, "out")):
        length_s = len(ctx.emitted(port)) / RATE  # asserts that the positions join
        assert length_s == pytest.approx((ctx.now_ns() - run.begin_ns) / SECOND, abs=1.0)
        assert "device gone" in ctx.logs[0] and ctx.logs[1].endswith("is back")
    for position, host_ns, _, _ in run.ctx.clocks:
        assert position == pytest.approx(run.ctx.position_at(host_ns), abs=RATE // 4), "no clock of it ever jumps far"
