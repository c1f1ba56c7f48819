"""Joins blocks that were made one by one where they fit best: synchronised overlap-add.

SOLA (Roucos, Wilgus; "High quality time-scale modification for speech", ICASSP 1985), used as voice changers do:
nothing is stretched, each block is shifted by less than a period of the voice so that its wave continues the last.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.fade import rising
from audio_pipeline.errors import ConfigError

Array = NDArray[np.float32]

TIE = 0.01  # a fit must be that much better to be worth a shift
NOISE = 0.3  # voices fit themselves better than that at other places too


class Sola:
    """Takes windows (search + block + fade,), each a block later than the last; gives (block,) of each.

    A window lies `search / 2` samples before its block, so shifts are -search / 2 to search / 2; where the old
    tail and the new window are the same sound, or there is no pitch, there is no shift. The two meet under sin^2
    and cos^2, which add up to 1.
    """

    def __init__(self, block: int, fade: int, search: int) -> None:
        if not (1 <= fade <= block and search >= 0):
            raise ConfigError(f"joins of {fade} samples and a search of {search} do not fit a block of {block}")
        self.block, self.fade, self.search = block, fade, search
        self.neutral = search // 2
        self._rising = rising(0, fade, fade)[:, 0]
        self.reset()

    def reset(self) -> None:
        """The next window is the first."""
        self._tail: Array | None = None
        self.shift = 0  # of the newest block, samples; positive: later sound was moved ahead

    def join(self, window: Array) -> tuple[Array, Array]:
        """The block (block,), and how its sound goes on: (fade or more,), of which the next join may change all."""
        least = self.search + self.block + self.fade
        if len(window) < least:
            raise ConfigError(f"a window of {len(window)} samples is shorter than {least}")
        offset = self.neutral if self._tail is None else self._best(window)
        y = window[offset:].astype(np.float32)
        if self._tail is not None:
            y[: self.fade] = self._tail + (y[: self.fade] - self._tail) * self._rising
        self._tail = y[self.block : self.block + self.fade].copy()
        self.shift = offset - self.neutral
        return y[: self.block], y[self.block :]

    def _best(self, window: Array) -> int:
        """Where the normalised correlation with the tail is largest."""
        assert self._tail is not None
        stretch = window[: self.search + self.fade].astype(np.float64)
        tail = self._tail.astype(np.float64)
        products = np.correlate(stretch, tail, "valid")
        sums = np.concatenate([[0.0], np.cumsum(stretch * stretch)])
        energy = np.maximum(sums[self.fade :] - sums[: -self.fade], 0.0) * (tail @ tail)
        fit = products / np.sqrt(energy + 1e-12)
        best = int(np.argmax(fit))
        others = np.abs(np.arange(len(fit)) - best) > self.search // 8
        aperiodic = fit[others].max(initial=-1.0) < NOISE  # it fits itself and nowhere else: back to its own place
        return best if fit[best] > fit[self.neutral] + TIE and not aperiodic else self.neutral
