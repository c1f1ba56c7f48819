"""Capture and playback on a sound card: what is played into a PulseAudio sink is heard at its monitor."""

from __future__ import annotations

import time

import numpy as np
import pytest

from audio_pipeline.frame import audio_frame
from audio_pipeline.nodes import capture, playback
from tests.io.pulse import pulse  # noqa: F401
from tests.nodes.fake import SECOND, FakeContext, noise

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
    x, ctx, heard_ctx = noise(PLAYED_S * RATE, level=0.2), RealTime(), RealTime()
    microphone, speaker = capture.NODE(capture.Settings()), playback.NODE(playback.Settings(buffer_ms=100.0))
    microphone.open(heard_ctx)
    speaker.open(ctx)
    begin_ns, sent = ctx.now_ns(), 0
    ctx.start_ns = heard_ctx.start_ns = begin_ns
    while sent < len(x):
        while sent < len(x) and begin_ns + sent * SECOND // RATE <= ctx.now_ns():
            frame = audio_frame(x[sent : sent + FRAME], sent, RATE, captured_ns=ctx.now_ns())
            speaker.process({"in": frame}, ctx)
            sent += FRAME
        speaker.poll(ctx)
        microphone.poll(heard_ctx)
        time.sleep(0.003)  # a real device needs real time
    speaker.flush(ctx)
    time.sleep(0.2)
    microphone.poll(heard_ctx)
    speaker.close()
    microphone.close()

    assert ctx.counters["stream_opens"] == 1
    assert ctx.gauges["silent"] == 0.0
    assert not ctx.logs
    for clocks in (ctx.clocks, heard_ctx.clocks):
        assert len(clocks) > 20
        assert clocks[-1][2] == pytest.approx(RATE, rel=0.01)
    heard = np.concatenate([frame.audio() for frame in heard_ctx.sent["out"]])[:, 0]
    at = int(np.argmax(np.correlate(heard[:RATE], x[:4_800, 0], "valid")))
    windows = [slice(k, k + 4_800) for k in range(0, len(x), 4_800)]
    exact = [np.allclose(heard[at:][w], x[w, 0], atol=1e-3) for w in windows if at + w.stop <= len(heard)]
    assert len(exact) >= 29  # to the end: the flush waits until the last sample has been heard
    assert np.mean(exact) >= 0.8  # a busy machine may stutter; where it does not, it is the same sound
