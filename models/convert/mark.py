"""The watermark inside a converter's blocks: no delay of its own.

Perth's frames are 64 ms long and reach into the future. What a join makes of the next milliseconds is known before
it is final, and does for that; behind it the spectrogram mirrors the sound. Marks of neighbouring blocks are joined
by a crossfade of the marks alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.fade import rising
from audio_pipeline.dsp.resample import resampled
from audio_pipeline.errors import NodeError
from audio_pipeline.models.convert.blocks import fitted
from audio_pipeline.models.hearing import perth
from audio_pipeline.models.hearing.perth import Perth

Array = NDArray[np.float32]

PAST_MS, FADE_MS = 100, 10


class BlockMark:
    """A `blocks.Finish` that adds Perth's mark to mono blocks at `rate` Hz."""

    def __init__(self, networks: Perth, rate: int, *, past_ms: float = PAST_MS) -> None:
        self._perth, self._rate = networks, rate
        self._past, self._fade = round(past_ms * rate / 1000), FADE_MS * rate // 1000
        self._rising = rising(0, self._fade, self._fade)[:, 0]
        self.reset()

    def reset(self) -> None:
        """The next block is the first of a stream."""
        self._history = np.zeros(0, np.float32)
        self._tail = np.zeros(self._fade, np.float32)  # how the last mark goes on

    def process(self, block: Array, ahead: Array) -> Array:
        """The marked (block,)."""
        around = np.concatenate([self._history, block, ahead])
        mark = fitted(self._mark(around)[len(self._history) :], len(block) + self._fade)
        return self._put(block, mark[: len(block)], mark[len(block) :])

    def skip(self, block: Array) -> Array:
        """A block that needs no mark: the last one fades out."""
        return self._put(block, np.zeros_like(block), np.zeros(self._fade, np.float32))

    def _put(self, block: Array, mark: Array, tail: Array) -> Array:
        n = min(self._fade, len(block))
        begin = self._tail[:n] + (mark[:n] - self._tail[:n]) * self._rising[:n]
        self._tail = tail
        self._history = np.concatenate([self._history, block])[-self._past :] if self._past else block[:0]
        return np.asarray(block + np.concatenate([begin, mark[n:]]), np.float32)

    def _mark(self, x: Array) -> Array:
        own = resampled(x[:, None], self._rate, perth.RATE)[:, 0]
        back = resampled(self._perth.residual(own)[:, None], perth.RATE, self._rate)[:, 0]
        return fitted(back, len(x))


def load_mark(rate: int) -> BlockMark:
    """The mark for a stream at `rate` Hz, tried out. Raises NodeError where it would not be found."""
    networks = perth.load()
    found = perth.self_check(networks)
    if found < perth.PRESENT:
        raise NodeError(f"convert: the watermark is not found in what was just marked ({found:.2f} of 1)")
    return BlockMark(networks, rate)
