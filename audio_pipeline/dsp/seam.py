"""Joins what came before a hole to what came after it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.fade import crossfade, fade_in, fade_out

Samples = NDArray[np.float32]


class Seam:
    """Remembers the last `fade_samples`; over a hole they go on, mirrored and fading out, and the new ones fade in.

    Nothing has to be known ahead, so it costs no latency.
    """

    def __init__(self, channels: int, fade_samples: int) -> None:
        self.channels, self._fade = channels, fade_samples
        self._last = np.zeros((0, channels), np.float32)

    def process(self, x: Samples) -> Samples:
        """`x` (n, channels) itself; it joins what came before."""
        self._last = np.concatenate([self._last, x])[-self._fade :]
        return x

    def join(self, hole_samples: int, x: Samples) -> tuple[Samples, Samples]:
        """What stands for a hole, and `x` with its beginning faded in."""
        going_on = self._mirrored()
        concealed = np.zeros((hole_samples, x.shape[1]), np.float32)
        k = min(len(going_on), hole_samples)
        concealed[:k] = going_on[:k] * fade_out(k)[:, None]
        y, k = x.copy(), min(self._fade, len(x))
        if hole_samples:
            y[:k] *= fade_in(k)[:, None]
        else:
            k = min(k, len(going_on))
            y[:k] = crossfade(going_on[:k], y[:k])
        return concealed, self.process(y)

    def _mirrored(self) -> Samples:
        return self._last[::-1]
