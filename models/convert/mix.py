"""What the listener of a converter hears: converted or as it came in, gated, at a level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.gate import NoiseGate
from audio_pipeline.dsp.ramp import Ramp, db_to_gain
from audio_pipeline.models.convert.live import Made

Array = NDArray[np.float32]

RAMP_S = 0.02


class Mix:
    """Crossfades between the two sides of a `Made`; both lie at the same positions, so it may be switched any time."""

    def __init__(self, rate: int, *, bypass: bool, gain_db: float, gate_db: float, late: str = "own") -> None:
        ramp = round(RAMP_S * rate)
        self._wet, self._gain = Ramp(0.0 if bypass else 1.0, ramp), Ramp(db_to_gain(gain_db), ramp)
        self._gate = NoiseGate(rate, gate_db)
        self._hide = Ramp(1.0, ramp)
        self._late_gain = 0.0 if late == "silence" else 1.0

    def reset(self) -> None:
        """The next block is the first of a stream."""
        self._gate.reset()

    def bypass(self, on: bool) -> None:
        """The speaker's own sound, or the converted."""
        self._wet.set(0.0 if on else 1.0)

    def gain(self, db: float) -> None:
        """Level of what goes out."""
        self._gain.set(db_to_gain(db))

    def gate(self, db: float) -> None:
        """The gate's threshold."""
        self._gate.threshold_db = db

    def process(self, made: Made) -> Array:
        """(samples, 1) to be heard."""
        n = len(made.wet)
        self._hide.set(self._late_gain if made.missed else 1.0)
        dry, wet = made.dry[:n], self._hide.process(made.wet[:, None])[:, 0]
        sound = dry[:, None] + self._wet.process((wet - dry)[:, None]) if not self._only_wet else wet[:, None]
        return self._gain.process(sound * self._gate.gains(dry, made.dry[n:])[:, None])

    @property
    def _only_wet(self) -> bool:
        return self._wet.target == 1.0 and not self._wet.moving
