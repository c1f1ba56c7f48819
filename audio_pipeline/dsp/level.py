"""Levels in dBFS, and what a block holds that it should not."""

from __future__ import annotations

from math import isfinite

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import ConfigError

WINDOW_MS = 100
RETURN_DB_PER_S = 20 / 1.7  # return time of the digital peak meter of IEC 60268-18: 20 dB in 1.7 s


def overs(x: NDArray[np.float32]) -> int:
    """How many values lie beyond full scale."""
    return int(np.count_nonzero(np.abs(x) > 1.0))


def sanitise(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """`x` with NaN and infinities as 0, and their number; `x` itself, uncopied, where there are none."""
    flat = x.reshape(-1)
    if isfinite(flat.dot(flat)):  # as it is only if every value is; a third of the time of looking at each
        return x, 0
    finite = np.isfinite(x)
    bad = int(x.size - np.count_nonzero(finite))
    return (np.where(finite, x, np.float32(0)), bad) if bad else (x, 0)


def to_dbfs(amplitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """20 log10 of non-negative amplitudes, -inf at 0; a full-scale sine has an RMS of -3.01 dBFS."""
    out = np.full(amplitude.shape, -np.inf)
    np.log10(amplitude, out=out, where=amplitude > 0)
    return out * 20


class LevelMeter:
    """Peak and RMS of the last full 100 ms window, and a peak that falls back slowly, by channel.

    Windows are counted from the first sample, so block sizes change nothing but rounding of the RMS
    (sums in float64: below 1e-9 dB). All values are arrays (channels,) in dBFS, -inf for silence.
    """

    def __init__(self, rate: int, channels: int) -> None:
        if rate < 1000 // WINDOW_MS or channels < 1:
            raise ConfigError(f"a level meter needs a rate and channels, got {rate} Hz and {channels}")
        self._window = rate * WINDOW_MS // 1000
        self._channels = channels
        self.reset()

    def reset(self) -> None:
        """Start over at silence."""
        self.peak_db = np.full(self._channels, -np.inf)
        self.rms_db = np.full(self._channels, -np.inf)
        self.hold_db = np.full(self._channels, -np.inf)
        self._begin()

    def _begin(self) -> None:
        self._count = 0
        self._peak = np.zeros(self._channels)
        self._energy = np.zeros(self._channels)

    def process(self, x: NDArray[np.float32]) -> int:
        """Take in (n, channels); returns how many windows it completed."""
        done = 0
        while len(x):
            part, x = x[: self._window - self._count], x[self._window - self._count :]
            self._count += len(part)
            self._peak = np.maximum(self._peak, np.abs(part).max(axis=0))
            self._energy += np.square(part, dtype=np.float64).sum(axis=0)
            if self._count == self._window:
                self._finish()
                done += 1
        return done

    def _finish(self) -> None:
        self.peak_db = to_dbfs(self._peak)
        self.rms_db = to_dbfs(np.sqrt(self._energy / self._window))
        self.hold_db = np.maximum(self.peak_db, self.hold_db - RETURN_DB_PER_S * WINDOW_MS / 1000)
        self._begin()
