"""Pitch of voices: how it is spread, how one speaker's is moved onto another's, how periodic sound is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PRIOR_HZ, PRIOR_SD = 150.0, 0.18  # between the usual men and women; 0.18 is about 3 semitones
PRIOR_MEAN_FRAMES, PRIOR_SD_FRAMES = 8.0, 200.0  # what they weigh, in frames of 5 ms
MEMORY_FRAMES = 6_000.0  # half a minute of voiced sound
OUTLIER = 0.7  # a logarithmic step beyond which it is an error of an octave
SCALES = (0.5, 2.0)  # of the spread


@dataclass(frozen=True)
class PitchSpread:
    """Mean and standard deviation of the natural logarithm of F0 in Hz."""

    mean: float
    sd: float


class PitchStatistics:
    """The spread of log F0 of a speaker, from a prior on; the more was heard the less the prior counts."""

    def __init__(self) -> None:
        self.frames = 0.0
        self._mean, self._squares = float(np.log(PRIOR_HZ)), 0.0

    def add(self, f0: Floats) -> None:
        """Takes F0 (frames,) in Hz, 0 where there is none."""
        logs = np.log(f0[f0 > 0])
        if self.frames > PRIOR_SD_FRAMES:
            logs = logs[np.abs(logs - self._mean) < OUTLIER]
        n = len(logs)
        if not n:
            return
        known, mean = self.frames or 0.0, float(logs.mean())
        away = mean - self._mean if known else 0.0
        self._squares += float(np.square(logs - mean).sum()) + away**2 * known * n / (known + n)
        self._mean = mean if not known else self._mean + away * n / (known + n)
        self.frames = known + n
        if self.frames > MEMORY_FRAMES:
            self._squares *= MEMORY_FRAMES / self.frames
            self.frames = MEMORY_FRAMES

    @property
    def spread(self) -> PitchSpread:
        """The estimate with its prior."""
        n = self.frames
        mean = (self._mean * n + np.log(PRIOR_HZ) * PRIOR_MEAN_FRAMES) / (n + PRIOR_MEAN_FRAMES)
        variance = (self._squares + PRIOR_SD**2 * PRIOR_SD_FRAMES) / (n + PRIOR_SD_FRAMES)
        return PitchSpread(float(mean), float(np.sqrt(variance)))

    def state(self) -> list[float]:
        """What `restored` needs."""
        return [self.frames, self._mean, self._squares]


def restored(state: list[float]) -> PitchStatistics:
    """Statistics as they were when `state` was asked."""
    statistics = PitchStatistics()
    statistics.frames, statistics._mean, statistics._squares = state
    return statistics


def matched(f0: Floats, source: PitchSpread, target: PitchSpread) -> Floats:
    """F0 (frames,) in Hz with the target's mean and spread in the logarithm; 0 stays 0.

    >>> matched(np.array([0.0, 200.0]), PitchSpread(np.log(200), 0.2), PitchSpread(np.log(100), 0.1)).round(6).tolist()
    [0.0, 100.0]
    """
    scale = float(np.clip(target.sd / max(source.sd, 1e-6), *SCALES))
    voiced = f0 > 0
    logs = np.log(np.where(voiced, f0, 1.0))
    return np.where(voiced, np.exp((logs - source.mean) * scale + target.mean), 0.0)


def periodicity(x: Floats, centres: NDArray[np.int64], periods: NDArray[np.int64]) -> Floats:
    """Normalised cross-correlation, -1 to 1, of the two neighbouring periods that meet at each centre (n,).

    Outside of x (samples,) is silence, which is not periodic: 0.
    """
    if not len(centres):
        return np.zeros(0)
    most = int(periods.max())
    around = np.pad(x, most)
    at = np.arange(most)
    inside = at < periods[:, None]
    before = np.where(inside, around[np.clip(centres[:, None] + most - periods[:, None] + at, 0, len(around) - 1)], 0.0)
    behind = np.where(inside, around[np.clip(centres[:, None] + most + at, 0, len(around) - 1)], 0.0)
    energy = (before**2).sum(axis=1) * (behind**2).sum(axis=1)
    found: Any = (before * behind).sum(axis=1) / np.sqrt(energy + 1e-20)
    return np.asarray(np.where(energy > 1e-20, found, 0.0), np.float64)


def neighbours(f0: Floats, reach: int) -> Floats:
    """For frames (frames,) without F0 that of the nearest frame with one, at most `reach` away; else 0.

    >>> neighbours(np.array([0.0, 0.0, 100.0, 0.0, 200.0]), 1).tolist()
    [0.0, 100.0, 0.0, 100.0, 0.0]
    """
    voiced = np.flatnonzero(f0 > 0)
    if not len(voiced):
        return np.zeros_like(f0)
    at = np.arange(len(f0))
    right = np.searchsorted(voiced, at)
    left_of, right_of = voiced[np.maximum(right - 1, 0)], voiced[np.minimum(right, len(voiced) - 1)]
    nearest = np.where(np.abs(at - left_of) <= np.abs(right_of - at), left_of, right_of)
    return np.where((f0 == 0) & (np.abs(nearest - at) <= reach), f0[nearest], 0.0)
