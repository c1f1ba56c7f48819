"""A slow level control for models that were trained on music at mastering level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_pipeline.errors import ConfigError

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class NormaliserSettings:
    """Where the level is brought, how far at most, and how slowly."""

    target_db: float = -16.0  # RMS over both channels, dB re full scale: where Spleeter scores best
    tolerance_db: float = 4.0  # no gain within this of the target: mastered music passes untouched
    max_gain_db: float = 40.0
    gate_db: float = -72.0  # quieter blocks say nothing about the level of the music
    time_s: float = 5.0
    block: int = 1024

    def __post_init__(self) -> None:
        if min(self.max_gain_db, self.tolerance_db) < 0:
            raise ConfigError(f"max_gain_db = {self.max_gain_db} and tolerance_db = {self.tolerance_db} must be >= 0")
        if self.time_s <= 0 or self.block < 1:
            raise ConfigError(f"time_s = {self.time_s} and block = {self.block} must be > 0")


class SlowNormaliser:
    """Gain by block that brings a stream's mean level near the target; its inverse restores the stream exactly.

    The level is the mean power of all blocks above the gate so far, and from `time_s` on an exponential mean
    with that time constant: so the first seconds settle at once and later ones drift. Blocks lie on a grid
    anchored at the first sample, so chunk sizes change nothing.
    """

    def __init__(self, rate: int, settings: NormaliserSettings = NormaliserSettings()) -> None:
        self.settings = settings
        self._horizon = max(1.0, settings.time_s * rate / settings.block)
        self.reset()

    def reset(self) -> None:
        """Forgets the level: gain 1 until a block above the gate."""
        self._power, self._blocks, self._gain = 0.0, 0, 1.0
        self._tail: Array = np.zeros((0, 1), np.float32)

    def process(self, x: Array) -> Array:
        """Linear gains (blocks,), one after each block that x (samples, channels) completes."""
        held = np.concatenate([self._tail, x]) if len(self._tail) else x
        count = len(held) // self.settings.block
        self._tail = held[count * self.settings.block :].copy()
        blocks = held[: count * self.settings.block].reshape(count, self.settings.block * x.shape[1])
        powers = np.mean(np.square(blocks, dtype=np.float64), axis=1)
        return np.array([self._after(float(power)) for power in powers], np.float32)

    def _after(self, power: float) -> float:
        if power > 10 ** (self.settings.gate_db / 10):
            self._blocks += 1
            self._power += (power - self._power) / min(self._blocks, self._horizon)
            off_db = self.settings.target_db - 10 * np.log10(self._power)
            beyond_db = max(0.0, abs(off_db) - self.settings.tolerance_db)
            self._gain = float(10 ** (np.sign(off_db) * min(beyond_db, self.settings.max_gain_db) / 20))
        return self._gain
