"""Time: host clocks that can be injected, and the graph's clock that maps position to host time.

One master (a device, or the host clock) publishes `(position, host_ns, rate)`; everybody else reads it
from a memory-mapped record and extrapolates. The record is guarded by a sequence lock, so a reader never
sees half an update; a master that dies leaves a line that goes on straight.
"""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class HostClock(Protocol):
    """Where host time comes from."""

    def now_ns(self) -> int:
        """Monotonic nanoseconds."""


class MonotonicClock:
    """The host's monotonic clock."""

    now_ns = staticmethod(time.monotonic_ns)


class VirtualClock:
    """A clock that moves only when told to."""

    def __init__(self, start_ns: int = 1_000_000_000) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        return self._now_ns

    def advance_to(self, host_ns: int) -> None:
        """Never backwards."""
        self._now_ns = max(self._now_ns, host_ns)


@dataclass(frozen=True)
class ClockLine:
    """position(t) = position + (t - host_ns) * rate: the graph's clock near one moment."""

    position: float
    host_ns: int
    rate: float  # true rate of the master, Hz

    def position_at(self, host_ns: int) -> float:
        """Position (samples, fractional) at a host time."""
        return self.position + (host_ns - self.host_ns) * self.rate / 1e9

    def host_ns_at(self, position: float) -> int:
        """Host time at which the clock reaches `position`."""
        return self.host_ns + round((position - self.position) / self.rate * 1e9)


_SEQUENCE = struct.Struct("<Q")  # even: whole; 0: never written
_RECORD = struct.Struct("<QdqdQ")  # sequence, position, host_ns, rate, discontinuities


class ClockRecord:
    """The shared record: one writer, many readers."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if create:
            path.write_bytes(bytes(_RECORD.size))
            path.chmod(0o600)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _RECORD.size)
        self._last: ClockLine | None = None
        self._last_sequence = 0

    def publish(self, line: ClockLine, *, discont: bool = False) -> None:
        """Writes the line; odd sequence numbers mark an update under way."""
        sequence, _, _, _, discontinuities = _RECORD.unpack_from(self._map)
        base = sequence - sequence % 2
        struct.pack_into("<Q", self._map, 0, base + 1)
        struct.pack_into("<dqdQ", self._map, 8, line.position, line.host_ns, line.rate, discontinuities + discont)
        struct.pack_into("<Q", self._map, 0, base + 2)

    def read(self) -> ClockLine | None:
        """The newest line, None before the first."""
        if _SEQUENCE.unpack_from(self._map)[0] == self._last_sequence:  # as nearly always
            return self._last
        for _ in range(100):
            before, position, host_ns, rate, _ = _RECORD.unpack_from(self._map)
            (after,) = _SEQUENCE.unpack_from(self._map)
            if before == after and before % 2 == 0:
                self._last, self._last_sequence = ClockLine(position, host_ns, rate), before
                break
        return self._last  # where the writer died inside an update the old line goes on

    def close(self) -> None:
        self._map.close()


def start_clocks(paths: Iterable[Path], line: ClockLine) -> None:
    """The clocks of a pipeline begin: all the same, until a device knows better."""
    for path in paths:
        record = ClockRecord(path)
        record.publish(line)
        record.close()


def copy_clock(path: Path, to: Path) -> None:
    """A new record that begins as another one stands, where there is that one."""
    line = None
    if path.exists():
        old = ClockRecord(path)
        line = old.read()
        old.close()
    new = ClockRecord(to, create=True)
    if line is not None:
        new.publish(line)
    new.close()
