"""Boards that are read again and again: their names are gone through once, their values are one read."""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.histogram import BINS
from audio_pipeline.metrics import NAME_BYTES, SLOTS, Reading

SIZE = NAME_BYTES + 8 + SLOTS * 8
FLOAT = "~"  # begins the name of a slot with a float64
MOST_BOARDS = 1_000
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Names:
    """Where each name of a board lies. Names are only added: this holds while as many slots are in use."""

    slots: dict[str, tuple[int, bool]]  # scalars by plain name: slot, and whether it holds a float
    blocks: dict[str, tuple[int, int]]  # histograms and remembered groups: first slot, slots
    prefixes: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # of `under`: (short, whole) names

    def under(self, prefix: str) -> list[tuple[str, str]]:
        """Names of scalars that start with `prefix`, without it and whole."""
        known = self.prefixes.get(prefix)
        if known is None:
            known = [(name[len(prefix) :], name) for name in self.slots if name.startswith(prefix)]
            self.prefixes[prefix] = known
        return known


class Snapshot(Reading):
    """A `Reading` whose values are looked up when they are asked for; all of one moment."""

    def __init__(self, names: Names, ints: NDArray[np.int64]) -> None:
        self._names, self._ints = names, ints
        self._floats = ints.view(np.float64)

    @property
    def histograms(self) -> dict[str, NDArray[np.int64]]:  # type: ignore[override]
        return {name: self._block(name) for name in self._names.blocks}

    @property
    def values_(self) -> dict[str, float]:  # type: ignore[override]
        return {name: self[name] for name in self._names.slots}

    def _block(self, name: str) -> NDArray[np.int64]:
        start, width = self._names.blocks[name]
        return self._ints[start : start + width]

    def __getitem__(self, name: str) -> float:
        slot, is_float = self._names.slots[name]
        return float(self._floats[slot]) if is_float else int(self._ints[slot])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names.slots)

    def __len__(self) -> int:
        return len(self._names.slots)

    def histogram(self, name: str) -> NDArray[np.int64]:
        found = self._names.blocks.get(name)
        return self._block(name) if found is not None and found[1] == BINS else np.zeros(BINS, np.int64)

    def remembered(self, name: str) -> list[int] | None:
        if name not in self._names.blocks:
            return None
        block = self._block(name)
        return None if block[0] == 0 or block[0] != block[-1] else [int(value) for value in block[1:-1]]

    def under(self, prefix: str) -> dict[str, float]:
        return {short: self[name] for short, name in self._names.under(prefix)}


class BoardReadings:
    """Reads boards by path; what it has learnt of their names is kept for the newest `MOST_BOARDS`."""

    def __init__(self) -> None:
        self._known: OrderedDict[Path, tuple[int, Names]] = OrderedDict()  # slots in use, names

    @property
    def known(self) -> int:
        """Boards whose names are kept."""
        return len(self._known)

    def read(self, path: Path) -> Snapshot | None:
        """A board as it is now; None where there is none any more, or not yet. Raises OSError: no descriptor."""
        try:
            board = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._known.pop(path, None)
            return None
        try:
            return self._snapshot(path, board)
        finally:
            os.close(board)

    def _snapshot(self, path: Path, board: int) -> Snapshot:
        if os.fstat(board).st_size != SIZE:  # it is being made
            return Snapshot(Names({}, {}), np.zeros(0, np.int64))
        used = int.from_bytes(os.pread(board, 8, NAME_BYTES), sys.byteorder, signed=True)
        used = min(max(used, 0), SLOTS)
        known = self._known.get(path)
        if known is None or known[0] != used:
            known = self._learn(path, used, _names_in(os.pread(board, NAME_BYTES, 0), used))
        return Snapshot(known[1], np.frombuffer(os.pread(board, 8 * used, NAME_BYTES + 8), np.int64))

    def _learn(self, path: Path, used: int, names: Names) -> tuple[int, Names]:
        self._known[path] = used, names
        self._known.move_to_end(path)
        while len(self._known) > MOST_BOARDS:
            self._known.popitem(last=False)
        return used, names


def _names_in(data: bytes, used: int) -> Names:
    names = Names({}, {})
    for line in data.partition(b"\0")[0].decode(errors="replace").split("\n"):
        fields = line.split("\t")
        if len(fields) == 3 and fields[1].isdecimal() and fields[2].isdecimal():
            _add(names, fields[0], int(fields[1]), int(fields[2]), used)
    return names


def _add(names: Names, name: str, start: int, width: int, used: int) -> None:
    if start + width > used:
        return
    if width > 1:
        names.blocks[name] = (start, width)
    else:
        names.slots[name.removeprefix(FLOAT)] = (start, name.startswith(FLOAT))


class Boards:
    """The boards of all incarnations of a node: counters add up, gauges are the newest one's."""

    def __init__(self, dead: Sequence[Reading] = (), now: Reading | None = None) -> None:
        self.all = [*dead, *([now] if now is not None else [])]

    @property
    def now(self) -> Reading | None:
        return self.all[-1] if self.all else None

    def total(self, name: str) -> int:
        """A counter over all incarnations."""
        return int(sum(board.get(name, 0) for board in self.all))

    def present(self, name: str) -> int:
        """A number of the newest incarnation."""
        return int(self.now.get(name, 0)) if self.now else 0

    def spread(self, name: str) -> tuple[Counts, float]:
        """A histogram over all incarnations, and its worst."""
        counts = sum((board.histogram(name) for board in self.all), np.zeros(BINS, np.int64))
        return counts, max((board.get(f"{name}.max", 0.0) for board in self.all), default=0.0)

    def totals(self, prefix: str) -> dict[str, int]:
        """All counters under a prefix, over all incarnations."""
        found: dict[str, int] = {}
        for board in self.all:
            for name, value in board.under(prefix).items():
                found[name] = found.get(name, 0) + int(value)
        return dict(sorted(found.items()))
