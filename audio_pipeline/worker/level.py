"""The level of what a node puts out, over the time since it was last shown."""

from __future__ import annotations

import numpy as np

from audio_pipeline.frame import Samples

SILENCE_DB = -120.0
HELD_VALUES = 16_384  # 85 ms of two channels at 96 kHz


class Level:
    """Peak and RMS of every value. What comes is measured ten times a second, not frame by frame."""

    def __init__(self) -> None:
        self.values = 0  # since the last `take`
        self._held = np.zeros(HELD_VALUES, np.float32)
        self._end = 0
        self._peak = self._square_sum = 0.0

    def add(self, x: Samples) -> None:
        """Takes (samples, channels)."""
        size, begin = x.size, self._end
        if size > HELD_VALUES - begin:
            self._measure(self._held[:begin])
            self._measure(x.reshape(-1))
            self._end = 0
        else:
            self._end = begin + size
            self._held[begin : self._end] = x.reshape(-1)
        self.values += size

    def _measure(self, x: Samples) -> None:
        if x.size:
            self._peak = max(self._peak, float(x.max()), -float(x.min()))
            self._square_sum += float(np.vdot(x, x))

    def take(self) -> tuple[float, float]:
        """Peak and RMS since the last call, dBFS."""
        self._measure(self._held[: self._end])
        result = _db(self._peak), _db((self._square_sum / max(self.values, 1)) ** 0.5)
        self._peak, self._square_sum, self.values, self._end = 0.0, 0.0, 0, 0
        return result


def _db(amplitude: float) -> float:
    return 20 * float(np.log10(amplitude)) if amplitude > 1e-6 else SILENCE_DB
