"""Which song time lies where in a stream of several files."""

from __future__ import annotations

from typing import NamedTuple


class Map(NamedTuple):
    """From stream position `position` on, the sound is that of file `file` from second `media_s` on."""

    position: int
    file: int  # its number in the list
    media_s: float
    length_s: float | None


class SongMap:
    """The maps of what is still to be heard, oldest first, and those that were not told yet."""

    def __init__(self) -> None:
        self._maps: list[Map] = []
        self._fresh: list[Map] = []

    def add(self, entry: Map) -> None:
        self._maps.append(entry)
        self._fresh.append(entry)

    def at(self, position: int) -> Map:
        """The map of a position; older ones are forgotten."""
        while len(self._maps) > 1 and self._maps[1].position <= position:
            self._maps.pop(0)
        return self._maps[0]

    def take_fresh(self) -> list[Map]:
        """Those that were added since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def clear(self) -> None:
        """After a jump nothing of what was to come holds."""
        self._maps.clear()
        self._fresh.clear()
