"""From one clock's positions to another's: what comes in is given on as soon as it can be, at the other's speed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil, floor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.drift_control import DriftControl
from audio_pipeline.dsp.drift_reader import DriftReader

Samples = NDArray[np.float32]

CAPACITY_S = 2
Place = Callable[[float], float]


def _split(place: float) -> tuple[int, float]:
    return floor(place), place - floor(place)


class Bridged(NamedTuple):
    """(n, channels) from output `position` on; behind them the input is at `place`."""

    position: int
    data: Samples
    place: float


class DriftBridge:
    """Output sample q is the input at the place where the input's clock stood when the output's stood at q.

    Nothing waits: `step` outputs are given as soon as the 32 samples behind the last of them are here. The places
    come from two clock lines and are followed by a `DriftControl`, so they go forward smoothly. Where a clock has
    jumped (by more than 50 ms) the output leaves out positions, or input is left out with a crossfade: `jumps`.
    """

    def __init__(self, channels: int, rate: int, step: int, reader: DriftReader | None = None) -> None:
        self.channels, self._rate, self._step = channels, rate, step
        self.control = DriftControl(rate)
        self._reader = reader or DriftReader(channels, rate, CAPACITY_S * rate)
        self.position: int | None = None  # next output
        self.jumps = 0
        self._floor = 0  # output positions before it were given
        self._fresh = True

    def write(self, position: int, x: Samples, out_of: Place) -> None:
        """Takes (n, channels) that begin at an input position; `out_of` tells the output's clock there."""
        if len(x) and self.position is None:
            self.position = max(ceil(out_of(position)), self._floor)
            self.control.start(position, keep_rate=self.jumps > 0)
            self._fresh = True
        self._reader.write(position, x)

    def take(self, place_of: Place, out_of: Place) -> Iterator[Bridged]:
        """All that can be given; `place_of` tells the input's clock by the output's, `out_of` the other way."""
        while self.position is not None:
            self._follow_jumps(place_of, out_of)
            if not self._reader.available(self.control.peek(self._step + 1)):
                return
            yield self._next(self._step, place_of)

    def _next(self, n: int, place_of: Place) -> Bridged:
        assert self.position is not None
        at, frac = _split(place_of(self.position + n))
        data = self._reader.read(self.control.advance(n, at, frac))
        began, self.position = self.position, self.position + n
        self._floor = self.position
        return Bridged(began, data, self.control.place)

    def _follow_jumps(self, place_of: Place, out_of: Place) -> None:
        """Neither the output's positions nor the input's ever go back: one of the two goes on."""
        assert self.position is not None
        wanted = place_of(self.position)
        if self._fresh:
            self._fresh = False
            if abs(wanted - self.control.place) < 1:  # the first place lies between samples
                self.control.start(*_split(wanted), keep_rate=True)
        elif self.control.lost(*_split(wanted)):
            self.jumps += 1
            self._reader.jump(self.control.peek(self._step))
            self.position = max(self.position, ceil(out_of(self.control.place)))
            self.control.start(*_split(max(place_of(self.position), self.control.place)), keep_rate=True)

    def finish(self, place_of: Place) -> Iterator[Bridged]:
        """The input has ended: the outputs up to its last sample."""
        end = self._reader.end
        self._reader.write(end, np.zeros((2 * self._step, self.channels), np.float32))
        while self.position is not None and (left := ceil(self.control.behind(end) / self.control.ratio)) > 0:
            yield self._next(min(left, self._step), place_of)

    def reset(self) -> None:
        """What comes next is no neighbour: begins anew, but never before what was given."""
        if self.position is not None:
            self.jumps += 1
        self.position = None
        self._reader.clear()

    @property
    def ppm(self) -> float:
        """By how much the input's clock is faster than the output's."""
        return self.control.ppm

    @property
    def fill_samples(self) -> float:
        """Input that has come and was not given on; it swings by a block."""
        return self.control.behind(self._reader.end) if self.position is not None else 0.0

    @property
    def error_samples(self) -> float:
        """How far the place that is read is from where the clocks want it."""
        return self.control.error_samples
