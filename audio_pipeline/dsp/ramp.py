"""Gain that moves to its target in a straight line, and its decibels."""

from __future__ import annotations

from math import inf, log10

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import ConfigError

SILENCE_DB = -120.0  # below 20-bit noise: a fader that far down is off


def db_to_gain(db: float) -> float:
    """Amplitude factor; 0 at `SILENCE_DB` and below.

    >>> db_to_gain(-20.0), db_to_gain(float("-inf"))
    (0.1, 0.0)
    """
    return 0.0 if db <= SILENCE_DB else float(10.0 ** (db / 20.0))


def gain_to_db(gain: float) -> float:
    """Decibels of an amplitude factor; -inf where `db_to_gain` would give 0.

    >>> gain_to_db(0.5), gain_to_db(0.0)
    (-6.020599913279624, -inf)
    """
    return 20.0 * log10(gain) if gain > 10.0 ** (SILENCE_DB / 20.0) else -inf


class Ramp:
    """A factor that reaches each new target `ramp_samples` after the `set`, from wherever it is."""

    def __init__(self, value: float, ramp_samples: int) -> None:
        if ramp_samples < 0:
            raise ConfigError(f"a ramp of {ramp_samples} samples must be 0 or longer")
        self._length = ramp_samples
        self._start = self._target = float(value)
        self._done = ramp_samples

    @property
    def gain(self) -> float:
        """The factor of the last sample processed."""
        return float(self._gains(1)[0]) if self.moving else self._target

    @property
    def target(self) -> float:
        """Where it is heading or has arrived."""
        return self._target

    @property
    def moving(self) -> bool:
        """Whether the target is still ahead."""
        return self._done < self._length

    def set(self, target: float) -> None:
        """Head for `target` from the next sample on."""
        self._start, self._target = self.gain, float(target)
        self._done = 0 if self._start != self._target else self._length

    def process(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """`x` (n, channels) times the moving gain; `x` itself when the gain rests at 1."""
        if not self.moving:
            return x if self._target == 1.0 else x * np.float32(self._target)
        self._done += len(x)
        return x * self._gains(len(x)).astype(np.float32)[:, None]

    def _gains(self, n: int) -> NDArray[np.float64]:
        """Of the last n samples, from their count since the set alone: the same for every block size."""
        t = np.minimum(np.arange(self._done - n + 1, self._done + 1) / max(self._length, 1), 1.0)
        return np.asarray(self._start * (1 - t) + self._target * t)  # exactly the target at the end
