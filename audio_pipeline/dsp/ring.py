"""A ring of samples addressed by absolute position, for joining and aligning streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import ConfigError


class Written(NamedTuple):
    """What a write could not keep: samples that came too late, samples pushed out to make room."""

    late_samples: int
    pushed_samples: int


class PositionRing:
    """Holds what was written between `floor` and `floor + capacity_samples`, holes included.

    Storage is circular (`position % capacity`), what is present is a short sorted list of spans, so the
    cost of a call is that of its copies.
    """

    def __init__(self, channels: int, capacity_samples: int) -> None:
        if channels < 1 or capacity_samples < 1:
            raise ConfigError(f"a ring needs at least 1 channel and 1 sample, got {channels} and {capacity_samples}")
        self._data = np.zeros((capacity_samples, channels), np.float32)
        self._capacity = capacity_samples
        self.clear()

    def clear(self, floor: int = 0) -> None:
        """Forget everything, as if new; nothing before `floor` will be taken."""
        self._floor = floor
        self._spans: list[tuple[int, int]] = []

    def grow(self, capacity_samples: int) -> None:
        """Room for more, keeping what is held; a smaller capacity changes nothing."""
        if capacity_samples <= self._capacity:
            return
        spans, held = self._spans, [(start, self.read(start, stop - start)) for start, stop in self._spans]
        self._data = np.zeros((capacity_samples, self._data.shape[1]), np.float32)
        self._capacity, self._spans = capacity_samples, spans
        for start, x in held:
            self._copy_in(start, x)

    @property
    def floor(self) -> int:
        """First position that can still be written or read."""
        return self._floor

    @property
    def end(self) -> int:
        """One past the last sample held; `floor` when nothing is."""
        return self._spans[-1][1] if self._spans else self._floor

    def write(self, position: int, x: NDArray[np.float32]) -> Written:
        """Store `x` (n, channels) at `position`; where samples are already there the new ones win."""
        late = min(max(self._floor - position, 0), len(x))
        end = position + len(x)
        if late == len(x):
            return Written(late, 0)
        self._add_span(position + late, end)
        pushed = self._reserve(end)
        start = max(position, self._floor)  # x alone may exceed the capacity
        self._copy_in(start, x[start - position :])
        return Written(late, pushed)

    def run(self, position: int) -> int:
        """Contiguous samples held from `position` on; 0 where it is absent."""
        return next((stop - position for start, stop in self._spans if start <= position < stop), 0)

    def read(self, position: int, n: int) -> NDArray[np.float32]:
        """A copy of (n, channels) from `position`, zeros where nothing is held; the floor stays."""
        out = np.zeros((n, self._data.shape[1]), np.float32)
        for start, stop in self._within(position, position + n):
            offset, at = start % self._capacity, start - position
            first = min(stop - start, self._capacity - offset)
            out[at : at + first] = self._data[offset : offset + first]
            out[at + first : stop - position] = self._data[: stop - start - first]
        return out

    def discard_before(self, position: int) -> None:
        """Raise the floor to `position`; a lower one changes nothing."""
        if position > self._floor:
            self._floor = position
            self._spans = [(max(a, position), b) for a, b in self._spans if b > position]

    def _within(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        return ((max(a, start), min(b, stop)) for a, b in self._spans if a < stop and b > start)

    def _reserve(self, end: int) -> int:
        floor = end - self._capacity
        pushed = sum(b - a for a, b in self._within(self._floor, floor))
        self.discard_before(floor)
        return pushed

    def _copy_in(self, position: int, x: NDArray[np.float32]) -> None:
        offset = position % self._capacity
        first = min(len(x), self._capacity - offset)
        self._data[offset : offset + first] = x[:first]
        self._data[: len(x) - first] = x[first:]

    def _add_span(self, start: int, end: int) -> None:
        """Insert a span, joined with those it overlaps or touches."""
        apart = [s for s in self._spans if s[1] < start or s[0] > end]
        joined = [s for s in self._spans if not (s[1] < start or s[0] > end)]
        span = (min([start, *(a for a, _ in joined)]), max([end, *(b for _, b in joined)]))
        self._spans = sorted([*apart, span])
