"""Voice conversion as a stream: windows on a fixed grid, each converted by itself, joined where they fit best.

The scheme of the live voice changers (RVC, w-okada), at the rate of the stream: block k is made from a window with
`past` before it and `future` behind it, `[past | search | block | fade | future]`, and joined by SOLA.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import gcd
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.level import sanitise
from audio_pipeline.dsp.resample import resampled
from audio_pipeline.dsp.sola import Sola
from audio_pipeline.errors import ConfigError

Array = NDArray[np.float32]


class Converter(Protocol):
    """What turns one voice into another, a window at a time, in the order of the stream."""

    @property
    def rate(self) -> int:
        """Hz at which it works."""

    def convert(self, x: Array, start: int) -> Array:
        """The converted (samples,) of mono x (samples,) at `rate`, at the same places; both ends are only context.

        `start` is the place of x[0] in the stream (negative: there is silence before its beginning), for one that
        keeps something of the last window. Neighbours overlap; a window may be left out.
        """

    def reset(self) -> None:
        """The next window is of another stream."""


class Finish(Protocol):
    """What is done to the joined sound last, as the mark is."""

    def process(self, block: Array, ahead: Array) -> Array:
        """The finished (block,); `ahead` is how it is likely to go on."""

    def skip(self, block: Array) -> Array:
        """The same for a block that was not converted."""

    def reset(self) -> None:
        """The next block is of another stream."""


@dataclass(frozen=True)
class Layout:
    """Times of the scheme, in milliseconds; the delay is block + fade + search / 2 + future."""

    block_ms: float = 50.0
    past_ms: float = 80.0
    search_ms: float = 12.0
    fade_ms: float = 15.0
    future_ms: float = 15.0

    @property
    def lookahead_ms(self) -> float:
        """What a block waits for behind its end."""
        return self.fade_ms + self.search_ms / 2 + self.future_ms


NEURAL = Layout(block_ms=250.0, past_ms=1_000.0, search_ms=12.0, fade_ms=40.0, future_ms=40.0)


def layout_of(engine: str, block_ms: float = 0) -> Layout:
    """The usual times of an engine, with another block where one is said."""
    usual = Layout() if engine == "world" else NEURAL
    block_ms = block_ms or usual.block_ms
    return replace(usual, block_ms=block_ms, fade_ms=min(usual.fade_ms, block_ms))


@dataclass(frozen=True, eq=False)
class Window:
    """The sound (samples,) at the stream's rate that block `start` to `start + block` is made from."""

    start: int
    first: int  # place of sound[0]
    sound: Array


def fitted(x: Array, samples: int) -> Array:
    """x (n,) with silence behind it or cut, (samples,): converting rates twice may give or take a sample."""
    y: Array = np.pad(x, (0, max(0, samples - len(x))))[:samples]
    return y


class BlockConverter:
    """N samples in, N samples out, at the same places; the result depends on no cut of the input.

    Either `process` and `finish`, which convert on the spot; or `push`, then `pending`, `run` (in any thread), and
    `accept` or `skip` for each window in turn.
    """

    def __init__(
        self, converter: Converter, rate: int, layout: Layout | None = None, finish: Finish | None = None
    ) -> None:
        if rate < 1:
            raise ConfigError(f"rate = {rate} Hz must be at least 1")
        layout = layout or Layout()
        self.converter, self.rate, self._finish = converter, rate, finish
        self._step = rate // gcd(rate, converter.rate)  # places that are whole at both rates
        block, fade, search, self._future = (
            round(ms * rate / 1000) for ms in (layout.block_ms, layout.fade_ms, layout.search_ms, layout.future_ms)
        )
        self.sola = Sola(self._whole(block), fade, search)
        self._past = self._whole(round(layout.past_ms * rate / 1000) + self.sola.neutral)
        self.reset()

    def _whole(self, samples: int) -> int:
        return max(-(-samples // self._step), 1) * self._step

    @property
    def block(self) -> int:
        """Samples of a block."""
        return self.sola.block

    @property
    def lookahead_samples(self) -> int:
        """What a block waits for behind its end."""
        return self.sola.fade + self.sola.search - self.sola.neutral + self._future

    @property
    def latency_samples(self) -> int:
        """From a sample to the window with which it leaves, at most; what converting takes comes on top."""
        return self.block + self.lookahead_samples

    def reset(self) -> None:
        """The next sample is sample 0 of a stream."""
        self._ring = np.zeros(self._past, np.float32)
        self._first = -self._past  # place of ring[0]
        self._next = self._end = 0  # start of the next block, end of the input
        self._ended = False
        self.sola.reset()
        self.converter.reset()
        if self._finish:
            self._finish.reset()

    def push(self, x: Array) -> None:
        """Takes mono sound (samples,); what is no number counts as silence, or it would spread over a window."""
        self._ring = np.concatenate([self._ring, sanitise(x.astype(np.float32))[0]])
        self._end += len(x)

    def flush(self) -> None:
        """No more sound comes: what is left becomes pending, with silence behind it."""
        self._ended = True

    def pending(self) -> Window | None:
        """The window to convert next, once it is there."""
        wanted = self._next + self.latency_samples
        if self._end < wanted and not (self._ended and self._next < self._end):
            return None
        sound = self._ring[: wanted - self._first]
        return Window(self._next, self._first, fitted(sound, wanted - self._first))

    def run(self, window: Window) -> Array:
        """The converted window, at the stream's rate."""
        own = resampled(window.sound[:, None], self.rate, self.converter.rate)[:, 0]
        start = window.first * self.converter.rate // self.rate
        y = resampled(self.converter.convert(own, start).astype(np.float32)[:, None], self.converter.rate, self.rate)
        return fitted(y[:, 0], len(window.sound))

    def accept(self, window: Window, y: Array) -> Array:
        """The block (samples,) that `y`, the converted window, gives."""
        block, ahead = self.sola.join(y[self._past - self.sola.neutral :])
        return self._pass(window, self._finish.process(block, ahead) if self._finish else block)

    def skip(self, window: Window) -> Array:
        """The block as it came in, joined to what was converted before."""
        block, _ = self.sola.join(window.sound[self._past - self.sola.neutral :])
        return self._pass(window, self._finish.skip(block) if self._finish else block)

    def dry(self, window: Window) -> Array:
        """The block as it came in."""
        return window.sound[self._past : self._past + self.block][: self._left(window)]

    def _left(self, window: Window) -> int:
        return min(self.block, self._end - window.start) if self._ended else self.block

    def _pass(self, window: Window, block: Array) -> Array:
        left = self._left(window)
        self._next += self.block
        self._ring, self._first = self._ring[self.block :], self._first + self.block
        return block[:left]

    def process(self, x: Array) -> Array:
        """The samples that are final after mono x (samples,)."""
        self.push(x)
        return self._joined()

    def finish(self) -> Array:
        """The rest of the stream; the next sample begins another."""
        self.flush()
        rest = self._joined()
        self.reset()
        return rest

    def _joined(self) -> Array:
        return np.concatenate([np.zeros(0, np.float32), *self._blocks()])

    def _blocks(self) -> Iterator[Array]:
        while (window := self.pending()) is not None:
            yield self.accept(window, self.run(window))
