"""A noise gate: silence where a voice is not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.ramp import SILENCE_DB, db_to_gain

Array = NDArray[np.float32]

FRAME_MS = 10


class NoiseGate:
    """Opens where the RMS of 10 ms reaches the threshold, a frame before it, and closes `hold_ms` after the last.

    It is given what comes next as well, so it cuts off no beginning. Below `SILENCE_DB` it is always open.
    """

    def __init__(self, rate: int, threshold_db: float, hold_ms: int = 200) -> None:
        self.threshold_db = threshold_db
        self._frame, self._hold = rate * FRAME_MS // 1000, hold_ms // FRAME_MS
        self.reset()

    def reset(self) -> None:
        """Open, as at the beginning of a stream."""
        self._left = self._hold
        self._gain = 1.0

    def gains(self, block: Array, ahead: Array) -> Array:
        """Factors (samples,) for a block of whole frames (the last may be short); `ahead` holds a frame or more."""
        pieces = [np.concatenate([block, ahead])[i : i + 2 * self._frame] for i in range(0, len(block), self._frame)]
        ramps = [self._ramp(self._opens(piece)) for piece in pieces]
        return np.concatenate([np.zeros(0, np.float32), *ramps])[: len(block)]

    def _opens(self, two: Array) -> bool:
        if self.threshold_db <= SILENCE_DB:
            return True
        halves = (two[: self._frame], two[self._frame :])
        loudest = max((float(np.sqrt(np.mean(half**2))) for half in halves if len(half)), default=0.0)
        self._left = self._hold if loudest >= db_to_gain(self.threshold_db) else self._left - 1
        return self._left > 0

    def _ramp(self, opens: bool) -> Array:
        before, self._gain = self._gain, float(opens)
        t = np.arange(1, self._frame + 1) / self._frame
        return np.asarray(before + (self._gain - before) * t, np.float32)
