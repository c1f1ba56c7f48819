"""Numbers that outlive the process that counts them.

Each process writes its counters, gauges and histograms into a small memory-mapped file, the board; the
supervisor reads it at any time, also after `kill -9`, so a ledger balances to the frame without a message.
One writer per board; an aligned 8-byte store is not torn on the machines we run on.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import PipelineError
from audio_pipeline.histogram import BINS, bin_of

SLOTS = 8192
NAME_BYTES = 160 * 1024
_SIZE = NAME_BYTES + 8 + SLOTS * 8
SUMS = ("steps", "busy_ns", "waits", "wait_ns")
SPREADS = 512  # histograms that are kept of processes that are gone
_FLOAT = "~"  # names that start with it hold a float64 in the slot

SPARE = BINS  # slots without a name: a board that is full counts into them rather than stop the sound


class Board:
    """The writer's side. PipelineError where there is no room for one."""

    def __init__(self, path: Path) -> None:
        self._map = _mapped(path)
        slots = memoryview(self._map)[NAME_BYTES:]  # numpy's views would take three times as long for each store
        self.ints, self.floats = slots[8:].cast("q"), slots[8:].cast("d")  # by slot
        self._count = slots[:8].cast("q")
        self._views = (self._count, self.ints, self.floats, slots)
        self._count[0] = SPARE
        self._index: dict[str, int] = {}
        self._histograms: dict[str, Histogram] = {}
        self._names_end = 0

    def slot(self, name: str, width: int = 1) -> int:
        """Index of `name`, made on first use; `width` neighbouring slots for a histogram."""
        known = self._index.get(name)
        return self._add(name, width) if known is None else known

    def _add(self, name: str, width: int) -> int:
        start = self._count[0]
        line = " ".join(name.replace("\0", " ").split())  # a zero ends the names
        entry = f"{line}\t{start}\t{width}\n".encode()
        if start + width > SLOTS or self._names_end + len(entry) > NAME_BYTES:
            return 0
        self._index[name] = start
        self._map[self._names_end : self._names_end + len(entry)] = entry
        self._names_end += len(entry)
        self._count[0] = start + width
        return start

    def add(self, name: str, amount: int = 1) -> None:
        """Counts."""
        self.ints[self.slot(name)] += amount

    def counting(self, prefix: str) -> Callable[[str, int], None]:
        """Counts under names that begin with `prefix`, and looks each of them up only once."""
        slots: dict[str, int] = {}
        ints = self.ints

        def count(name: str, amount: int) -> None:
            slot = slots.get(name)
            if slot is None:
                slot = slots[name] = self.slot(prefix + name)
            ints[slot] += amount

        return count

    def put(self, name: str, value: int) -> None:
        """Shows a whole number."""
        self.ints[self.slot(name)] = value

    def clear(self, slots: Iterable[int]) -> None:
        """Shows 0 for what is no more."""
        for slot in slots:
            self.ints[slot] = 0

    def gauge(self, name: str, value: float) -> None:
        """Shows a number."""
        self.floats[self.slot(_FLOAT + name)] = value

    def histogram(self, name: str) -> Histogram:
        """A histogram of durations and its `.max` gauge, made on first use."""
        known = self._histograms.get(name)
        if known is None:
            known = self._histograms[name] = Histogram(self, name)
        return known

    def observe_ms(self, name: str, value_ms: float) -> bool:
        """Adds a duration to a histogram; True for the worst so far."""
        return self.histogram(name).observe_ms(value_ms)

    def remember(self, name: str, *values: int) -> None:
        """Writes down several whole numbers that belong together; `Reading.remembered` gives all or none of them."""
        start = self.slot(name, len(values) + 2)
        if start:
            turn = self.ints[start] + 1
            for at, value in enumerate((turn, *values, turn), start):
                self.ints[at] = value

    def close(self) -> None:
        """Unmaps; the file stays for readers."""
        for view in self._views:
            view.release()
        self._map.close()


def _mapped(path: Path) -> mmap.mmap:
    """A fresh board's file in memory, written whole first: a hole in it would be a bus error where the disk is full."""
    try:
        path.write_bytes(bytes(_SIZE))
        path.chmod(0o600)
        with path.open("r+b") as file:
            return mmap.mmap(file.fileno(), _SIZE)
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise PipelineError(f"board {path} cannot be made: {error.strerror or error}") from error


def _contents(path: Path) -> tuple[bytes, NDArray[np.int64]]:
    """Names and slots in use of a board's file; none yet while it is being made. Most of it is empty and not read."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == _SIZE:
                with mmap.mmap(file.fileno(), _SIZE, access=mmap.ACCESS_READ) as view:
                    return _in_use(view)
    except FileNotFoundError:
        pass
    return _in_use(b"")


def _in_use(view: mmap.mmap | bytes) -> tuple[bytes, NDArray[np.int64]]:
    if len(view) != _SIZE:
        return b"", np.zeros(0, np.int64)
    names = view[: view.find(b"\0", 0, NAME_BYTES) % (NAME_BYTES + 1)]
    used = int.from_bytes(view[NAME_BYTES : NAME_BYTES + 8], sys.byteorder, signed=True)
    slots = view[NAME_BYTES + 8 : NAME_BYTES + 8 + 8 * min(max(used, 0), SLOTS)]
    return names, np.frombuffer(slots, np.int64)


class Histogram:
    """Durations on a board in log-spaced bins, and the longest of them; its slots are looked up once."""

    __slots__ = ("_floats", "_ints", "_start", "_top")

    def __init__(self, board: Board, name: str) -> None:
        self._ints, self._floats = board.ints, board.floats
        self._start, self._top = board.slot(name, BINS), board.slot(f"{_FLOAT}{name}.max")

    def observe_ms(self, value_ms: float) -> bool:
        """Adds a duration; True for the worst so far."""
        self._ints[self._start + bin_of(value_ms)] += 1
        worst = value_ms >= self._floats[self._top]
        if worst:
            self._floats[self._top] = value_ms
        return worst


class Reading(Mapping[str, float]):
    """What a board says at one moment: counters, gauges (by plain name) and histograms.

    Where a descriptor of the file is there already, none is needed for a look. Raises OSError where there is none.
    """

    def __init__(self, path: Path, descriptor: int | None = None) -> None:
        names, ints = _contents(path) if descriptor is None else _in_use(os.pread(descriptor, _SIZE, 0))
        floats = ints.view(np.float64)
        self.values_: dict[str, float] = {}
        self.histograms: dict[str, NDArray[np.int64]] = {}
        for line in names.decode(errors="replace").split("\n"):
            fields = line.split("\t")
            if len(fields) == 3 and fields[1].isdecimal() and fields[2].isdecimal():
                self._take(fields[0], int(fields[1]), int(fields[2]), ints, floats)

    def _take(self, name: str, start: int, width: int, ints: NDArray[np.int64], floats: NDArray[np.float64]) -> None:
        if start + width > len(ints):
            return
        if width > 1:
            self.histograms[name] = ints[start : start + width]
        elif name.startswith(_FLOAT):
            self.values_[name[1:]] = float(floats[start])
        else:
            self.values_[name] = int(ints[start])

    @classmethod
    def added(cls, readings: Sequence[Reading]) -> Reading:
        """Boards of processes that are gone as one: counters and histograms add up, the worst of all is the worst,
        the rest is the last one's."""
        total = cls.__new__(cls)
        total.values_, total.histograms = {}, {}
        for reading in readings:
            for name, value in reading.values_.items():
                if name in total.values_ or len(total.values_) < SLOTS:
                    total._add_value(name, value, reading)
            for name, counts in reading.histograms.items():
                if len(counts) == BINS and (name in total.histograms or len(total.histograms) < SPREADS):
                    total.histograms[name] = total.histogram(name) + counts
        for name in total.values_:
            if name.endswith((".queued", ".in_flight")):
                total.values_[name] = 0
        return total

    def _add_value(self, name: str, value: float, reading: Reading) -> None:
        if name.endswith(".max"):
            if value >= self.get(name, 0.0):
                self.values_[name] = value
                worst = f"worst.{name.removesuffix('.max')}"
                self.histograms.update({worst: block} if (block := reading.histograms.get(worst)) is not None else {})
            return
        summed = isinstance(value, int) and (name in SUMS or name.startswith(("out.", "in.", "count.")))
        self.values_[name] = self.values_.get(name, 0) + value if summed else value

    def __getitem__(self, name: str) -> float:
        return self.values_[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)

    def histogram(self, name: str) -> NDArray[np.int64]:
        """Counts by bin; zeros where nothing was observed."""
        counts = self.histograms.get(name)
        return counts if counts is not None and len(counts) == BINS else np.zeros(BINS, np.int64)

    def remembered(self, name: str) -> list[int] | None:
        """What `Board.remember` wrote; None while it is being written, or where nothing was."""
        block = self.histograms.get(name)
        if block is None or block[0] == 0 or block[0] != block[-1]:
            return None
        return [int(value) for value in block[1:-1]]

    def under(self, prefix: str) -> dict[str, float]:
        """Values whose name starts with `prefix`, without it."""
        return {name[len(prefix) :]: value for name, value in self.values_.items() if name.startswith(prefix)}
