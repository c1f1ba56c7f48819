"""Which stream has which row of a batch, for how long. Pure: the caller gives the time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from audio_pipeline.errors import NodeError
from audio_pipeline.models.separation.types import State


@dataclass(eq=False)
class Place:
    """A stream's row, its state, and when it was last used."""

    stream: str
    row: int
    used_ns: int
    fresh: bool = True  # the next window begins a stream
    state: State = None
    asked_ns: int | None = None  # when it last asked
    every_ns: int | None = None  # the time between the last two windows

    @property
    def expected_ns(self) -> int | None:
        """When it will ask again, if it goes on as it did."""
        return None if self.asked_ns is None or self.every_ns is None else self.asked_ns + self.every_ns


class Places:
    """Who has which row. A place ends when it is left, or when it was not used for `lease_ns` and is needed."""

    def __init__(self, capacity: int, lease_ns: int) -> None:
        self.capacity, self._lease_ns = capacity, lease_ns
        self._by_stream: dict[str, Place] = {}

    def __iter__(self) -> Iterator[Place]:
        return iter(self._by_stream.values())

    def __len__(self) -> int:
        return len(self._by_stream)

    def holds(self, place: Place) -> bool:
        """Whether a place is still what it was."""
        return self._by_stream.get(place.stream) is place

    def take(self, stream: str, now_ns: int) -> Place:
        """A new place for a stream that has none. Raises NodeError where all are taken, or it has one."""
        if stream in self._by_stream:
            raise NodeError(f"stream {stream!r} has a place at the model already")
        place = Place(stream, self._free_row(stream, now_ns), now_ns)
        self._by_stream[stream] = place
        return place

    def take_again(self, place: Place, now_ns: int) -> None:
        """A row for a stream that lost its own, and begins anew. Raises NodeError where all are taken."""
        if self._by_stream.get(place.stream) is not place:
            place.row, place.fresh = self._free_row(place.stream, now_ns), True
            self._by_stream[place.stream] = place

    def _free_row(self, stream: str, now_ns: int) -> int:
        if len(self) == self.capacity:
            self._expire(now_ns)
        free: list[int] = sorted({*range(self.capacity)} - {place.row for place in self._by_stream.values()})
        if not free:
            names = ", ".join(sorted(self._by_stream))
            raise NodeError(f"stream {stream!r}: all {self.capacity} places of the model are taken (by {names})")
        return free[0]

    def leave(self, place: Place) -> None:
        """Gives a place back; does nothing where it was lost before."""
        if self.holds(place):
            del self._by_stream[place.stream]

    def _expire(self, now_ns: int) -> None:
        """Only the one that was used least recently: nobody is turned out without need."""
        oldest = min(self._by_stream.values(), key=lambda place: place.used_ns)
        if now_ns - oldest.used_ns >= self._lease_ns:
            del self._by_stream[oldest.stream]
