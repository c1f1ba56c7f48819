"""Brings sound to the level at which detectors of speech were trained, whatever the gain in front of it."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]

TARGET_DB = -16.0  # RMS of the loudest windows: somebody who talks at the level of a broadcast
QUIET_BELOW_DB = 29.0  # steady sound is kept at least so far below: noise alone is not raised to where speech lies
FALL_DB_PER_S = 4.0  # the loudest window is forgotten so fast
FLOOR_S, FLOOR_PARTS = 4.0, 8  # the quietest window of so long is the floor
NOTHING = 1e-15  # power below which a window is digital silence


class Leveller:
    """Multiplies each window by one gain, from the windows up to it alone; the gain of the input cancels exactly.

    The loudest window so far, which is forgotten slowly, comes to the target; but the floor, the quietest window of
    the last seconds, comes no nearer to the target than 29 dB, so noise without speech stays far below it.
    The state is ten numbers, however long the stream is.
    """

    def __init__(self, window_s: float) -> None:
        self._fall = 10 ** (-FALL_DB_PER_S * window_s / 10)
        self._part = max(round(FLOOR_S / FLOOR_PARTS / window_s), 1)  # windows
        self.reset()

    def reset(self) -> None:
        """The next window is the first."""
        self._top, self._count = 0.0, 0
        self._lows: deque[float] = deque([np.inf], maxlen=FLOOR_PARTS)

    def __call__(self, window: Array) -> Array:
        """The window (samples,) at its level; digital silence stays."""
        power = float(np.mean(np.square(window, dtype=np.float64))) if len(window) else 0.0
        self._top *= self._fall
        if not NOTHING < power < np.inf:
            return window
        self._top = max(self._top, power)
        self._note(power)
        loudest = max(self._top, min(self._lows) * 10 ** (QUIET_BELOW_DB / 10))
        gain = np.float32(10 ** (TARGET_DB / 20) / np.sqrt(loudest))
        return np.asarray(window * gain, np.float32)

    def _note(self, power: float) -> None:
        if self._count == self._part:
            self._lows.append(np.inf)
            self._count = 0
        self._count += 1
        self._lows[-1] = min(self._lows[-1], power)


def levelled(x: Array, db: float) -> Array:
    """A whole sound (samples,) at an RMS of `db` dBFS; silence stays."""
    rms = float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) if len(x) else 0.0
    return (x * np.float32(10 ** (db / 20) / rms)).astype(np.float32) if rms else x
