"""Goes on for a moment after a stream has run dry, so that it can be faded out when nothing was known ahead."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import ConfigError

Samples = NDArray[np.float32]


class Extension:
    """Continues a stream with its own last samples, back and forth: no step where the true samples end.

    A fade that ends where the samples end has to look ahead, which costs its length in latency and fades
    at every tick at which less than that is in hand. This one begins where they end. What was begun is gone
    through to its end, even when samples are back sooner: they are no neighbours of the mirrored ones.
    """

    def __init__(self, channels: int, samples: int) -> None:
        if channels < 1 or samples < 1:
            raise ConfigError(f"an extension needs 1 channel and 1 sample or more, got {channels} and {samples}")
        self._samples = samples
        self._past = np.zeros((0, channels), np.float32)
        self._used = 0

    def process(self, x: Samples, run: int) -> tuple[Samples, int, int]:
        """`x` (n, channels) with its true run of samples continued; the run with its continuation; the true run.

        `run` counts from the block's first sample and may look past the block.
        """
        n = len(x)
        run = 0 if 0 < self._used < self._samples else max(run, 0)
        if run and self._used:
            self._past, self._used = self._past[:0], 0  # what was before the gap is no neighbour
        true = x[:run]
        self._past = np.concatenate([self._past, true])[-self._samples :]
        if run >= n:
            return x, run + self._samples, run
        usable = run + self._samples - self._used
        return np.concatenate([true, self._mirrored(n - run)]), usable, run

    def _mirrored(self, n: int) -> Samples:
        """The next (n, channels) of the continuation; silence behind its end."""
        out, m = np.zeros((n, self._past.shape[1]), np.float32), len(self._past)
        k = min(n, self._samples - self._used)
        if m:
            at = np.arange(self._used, self._used + k) % (2 * m)
            out[:k] = self._past[np.where(at < m, m - 1 - at, at - m)]
        self._used += k
        return out
