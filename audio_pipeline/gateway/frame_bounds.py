"""What frames of another host may make us compute: so long a frame, so many values a second."""

from __future__ import annotations

from audio_pipeline.dsp.limits import LEAST_RATE, MOST_CHANNELS, MOST_RATE
from audio_pipeline.frame import Frame
from audio_pipeline.gateway.budget import Budget

LONGEST_S = 1.0
VALUES_S, VALUES = 8e6, 8e6  # samples x channels, before and after conversion: 28 streams of stereo at 48 kHz
FRAMES_S, FRAMES = 2_000.0, 2_000.0


class FrameBounds:
    """Judges each frame before anything is computed from it, for a consumer with `rate` and `channels`."""

    def __init__(self, rate: int, channels: int) -> None:
        self._rate, self._channels = rate, channels
        self._values, self._frames = Budget(VALUES_S, VALUES), Budget(FRAMES_S, FRAMES)

    def refusal(self, frame: Frame, now_s: float) -> str:
        """Why it is dropped, a name to count by; empty where it is taken."""
        if not self._frames.take(1, now_s):
            return "too_many"
        if frame.event is not None or not frame.samples:
            return ""
        if not LEAST_RATE <= frame.rate <= MOST_RATE or frame.channels > MOST_CHANNELS:
            return "format"
        if frame.samples > LONGEST_S * frame.rate:
            return "too_long"
        return "" if self._values.take(self.cost(frame), now_s) else "over_budget"

    def cost(self, frame: Frame) -> float:
        """Values that are read, brought to our channels, and converted to our rate."""
        return frame.samples * (frame.channels + self._channels * (1 + self._rate / frame.rate))
