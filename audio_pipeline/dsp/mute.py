"""Sound or silence, with a fade between the two."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.fade import rising


class Mute:
    """Lets a stream through, or puts out zeros; a turn takes `fade_samples`, from wherever it is."""

    def __init__(self, muted: bool, fade_samples: int) -> None:
        self._muted, self._fade = muted, fade_samples
        self._done = fade_samples

    def turn(self, muted: bool) -> None:
        """From the next sample on; one that turns back fades back the way it came."""
        if muted != self._muted:
            self._muted, self._done = muted, max(self._fade - self._done, 0)

    @property
    def passes(self) -> bool:
        """True while it lets the stream through as it is."""
        return not self._muted and self._done >= self._fade

    def process(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, channels) in and out; `x` itself while it is let through."""
        if self._done >= self._fade:
            return np.zeros_like(x) if self._muted else x
        weight = rising(self._done, len(x), self._fade)
        self._done += len(x)
        return x * (1 - weight if self._muted else weight)
