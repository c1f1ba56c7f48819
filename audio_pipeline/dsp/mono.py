"""One channel of what is there: the mean of both sides, or one of them where they cancel."""

from __future__ import annotations

from typing import Any

import numpy as np

from audio_pipeline.dsp.channels import to_channels

Array = np.ndarray[Any, np.dtype[np.float32]]
Weights = np.ndarray[Any, np.dtype[np.float64]]

CANCELS_DB = 9.0  # one side is 6 dB over its mean with silence, 3 dB over that with another sound of its level
JOINS_DB = 2.0  # only sides that carry the same come so near to their mean: noise in a pause changes nothing
SWAPS_DB = 6.0  # by so much the other side must be louder to be taken instead
BLOCK_S, MEMORY_S, FADE_S = 0.02, 0.4, 0.02
NAMES = ("both sides", "the left side", "the right side")
MEAN, LEFT, RIGHT = range(3)
WEIGHTS = np.array([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]])
NOTHING = 1e-20  # power


class Mono:
    """A stream of (n, channels) as (n, 1), sample for sample.

    Where the mean of both sides lies more than 9 dB below the louder one, that side is taken instead, until they
    carry the same again. Powers are those of the last 0.4 s, looked at every 20 ms on a grid from the first sample
    on; a change is a crossfade of 20 ms, so block sizes change nothing and nothing clicks.
    """

    def __init__(self, rate: int) -> None:
        self._block, self._fade = max(round(BLOCK_S * rate), 1), max(round(FADE_S * rate), 1)
        self._keep = float(np.exp(-BLOCK_S / MEMORY_S))
        self.reset()

    def reset(self) -> None:
        """The next sample is the first."""
        self.choice = MEAN
        self.loss_db = 0.0  # of the mean against the louder side, in what was heard last
        self._powers, self._sums = np.zeros(3), np.zeros(3)
        self._weight = 0.0
        self._count = 0  # samples of the block that is not full yet
        self._from = self._now = WEIGHTS[MEAN]
        self._faded = self._fade  # samples since the last change, up to the fade's length

    @property
    def description(self) -> str:
        """Which sides are used, as a part of a sentence."""
        return NAMES[self.choice]

    def process(self, x: Array) -> Array:
        """One channel for x (n, channels)."""
        if x.shape[1] == 1:
            return x
        both = to_channels(x, 2)
        out = np.empty((len(x), 1), np.float32)
        at = 0
        while at < len(x):
            stop = min(at + self._block - self._count, len(x))
            part = both[at:stop]
            left, right = part[:, 0].astype(np.float64), part[:, 1].astype(np.float64)
            of_left, of_right = self._weights(len(part))
            out[at:stop, 0] = left * of_left + right * of_right
            self._measure(left, right)
            at = stop
        return out

    def _weights(self, n: int) -> Weights:
        """Of both sides: a number each, or one a sample while a change fades in."""
        now: Weights = self._now
        if self._faded == self._fade:
            return now
        share = np.minimum(np.arange(self._faded + 1, self._faded + n + 1) / self._fade, 1.0)
        self._faded = min(self._faded + n, self._fade)
        return np.asarray(self._from[:, None] + (now - self._from)[:, None] * share)

    def _measure(self, left: Weights, right: Weights) -> None:
        middle = left + right
        self._sums += [np.dot(middle, middle) / 4, np.dot(left, left), np.dot(right, right)]
        self._count += len(left)
        if self._count == self._block:
            self._decide()

    def _decide(self) -> None:
        self._powers = self._keep * self._powers + self._sums / self._block
        self._sums, self._count = np.zeros(3), 0
        mean, left, right = np.maximum(self._powers, NOTHING)
        if max(left, right) <= NOTHING:
            return
        self.loss_db = float(10 * np.log10(max(left, right) / mean))
        wanted = self._wanted(float(10 * np.log10(right / left)))
        if wanted != self.choice and self._faded == self._fade:
            self.choice, self._from, self._now, self._faded = wanted, self._now, WEIGHTS[wanted], 0

    def _wanted(self, right_over_left_db: float) -> int:
        if self.loss_db < (CANCELS_DB if self.choice == MEAN else JOINS_DB):
            return MEAN
        louder = RIGHT if right_over_left_db > 0 else LEFT
        stays = self.choice != MEAN and abs(right_over_left_db) < SWAPS_DB
        return self.choice if stays else louder


def mono(x: Array, rate: int) -> tuple[Array, Mono]:
    """A whole sound (samples, channels) as (samples, 1), and the stream that made it, which says what it took."""
    stream = Mono(rate)
    return stream.process(x), stream
