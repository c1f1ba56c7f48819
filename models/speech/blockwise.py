"""Makes a stream out of a model that only takes whole excerpts: overlapping windows, joined by crossfades."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_pipeline.dsp.fade import crossfade
from audio_pipeline.errors import ConfigError

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Excerpt:
    """What the model is given at once: sound (samples, channels) from `start` on; `keep` is the stretch it is for."""

    start: int
    sound: Array
    keep: tuple[int, int]

    def cut(self, y: Array, begin: int, end: int) -> Array:
        """Samples [begin, end) of an answer as long as `sound`; silence where it does not reach."""
        out = np.zeros((end - begin, y.shape[1]), np.float32)
        piece = y[max(begin - self.start, 0) : max(end - self.start, 0)]
        out[: len(piece)] = piece
        return out


class Blockwise:
    """Excerpts of `block` samples with `context` on both sides; `block` 0: one excerpt, the whole stream.

    Answers of neighbours are joined by a linear crossfade of `fade` samples around each boundary, as they are two
    estimates of the same sound. A sample leaves at most `block + context + fade / 2` samples after it came.
    """

    def __init__(self, block: int, context: int, fade: int) -> None:
        if block and not (0 <= fade <= 2 * context and fade <= block):
            raise ConfigError(f"a fade of {fade} samples does not fit a block of {block} with {context} of context")
        self.block, self.context, self._half = block, context, fade // 2 if block else 0
        self.reset()

    def reset(self) -> None:
        """The next sample is the first of a stream; what was not joined is forgotten."""
        self._pieces: list[Array] = []
        self._start = self._end = 0  # of what is kept
        self._next = 0  # first sample of the next block
        self._tails: dict[str, Array] = {}

    @property
    def latency_samples(self) -> int:
        """From a sample to the excerpt with which it leaves, at most."""
        return self.block + self.context + self._half

    def push(self, x: Array) -> list[Excerpt]:
        """Takes (samples, channels); gives the excerpts that are complete now."""
        self._pieces.append(x)
        self._end += len(x)
        ready: list[Excerpt] = []
        while self.block and self._end >= self._next + self.block + self.context:
            ready.append(self._excerpt(self._next + self.block, self._next + self.block + self.context))
            self._next += self.block
        return ready

    def finish(self) -> list[Excerpt]:
        """What is left when the stream has ended; the next sample begins another one."""
        left = [self._excerpt(self._end, self._end)] if self._end > max(self._next - self._half, 0) else []
        tails = self._tails
        self.reset()
        self._tails = tails
        return left

    def _excerpt(self, keep_end: int, end: int) -> Excerpt:
        first = max(self._next - self.context, 0)
        sound = np.concatenate(self._pieces)
        drop, self._start = first - self._start, first
        self._pieces = [sound[drop:]]
        begin = max(self._next - self._half, 0)
        last = end == keep_end == self._end
        keep = (begin, keep_end if last else keep_end - self._half)
        return Excerpt(first, sound[drop : drop + end - first].copy(), keep)

    def join(self, excerpt: Excerpt, answers: Mapping[str, Array]) -> tuple[int, dict[str, Array]]:
        """The position and the samples of each answer that are final now; excerpts must come in order."""
        begin, end = excerpt.keep
        out: dict[str, Array] = {}
        for name, y in answers.items():
            stretch = excerpt.cut(y, begin, end)
            tail = self._tails.pop(name, None)
            if tail is not None:
                n = min(len(tail), len(stretch))
                stretch[:n] = crossfade(tail[:n], stretch[:n])
            if end < excerpt.start + len(excerpt.sound):
                self._tails[name] = excerpt.cut(y, end, end + 2 * self._half)
            out[name] = stretch
        return begin, out
