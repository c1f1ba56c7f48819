"""One connection from another host: its socket, the one inside that its bytes go to, and what waits between them."""

from __future__ import annotations

import os
import socket
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from audio_pipeline.gateway.budget import Budget
from audio_pipeline.gateway.message_meter import Meter

BYTES_S, BYTES_BURST = 8 << 20, 4 << 20  # from one connection
MOST_UNTAKEN, MOST_UNTAKEN_BYTES = 64, 2 << 20  # messages of a connection that nobody inside has taken
READY = b"\x05READY"  # ends the handshake (RFC 23); in a cookie these six bytes stand once in 10**12 connections
HEAD_BYTES = 1024


@dataclass(eq=False)
class Connection:
    """Two sockets and what one has not yet taken of the other."""

    number: int
    outer: socket.socket
    inner: socket.socket
    began_s: float
    inward: bytearray = field(default_factory=bytearray)
    outward: bytearray = field(default_factory=bytearray)
    head: bytearray | None = field(default_factory=bytearray)  # what ZeroMQ answered first; None once it let it in
    claimed: bool = False
    budget: Budget = field(default_factory=lambda: Budget(BYTES_S, BYTES_BURST))
    meter: Meter = field(default_factory=Meter)
    untaken: deque[int] = field(default_factory=deque)  # sizes of messages
    resting: bool = False
    stuck_s: float | None = None

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Order of eviction."""
        return self.claimed, self.head is None, self.began_s

    @property
    def held(self) -> bool:
        """Whether as much as may be lies inside."""
        return len(self.untaken) >= MOST_UNTAKEN or sum(self.untaken) >= MOST_UNTAKEN_BYTES

    def acknowledge(self, messages: int) -> None:
        """So many were taken."""
        for _ in range(min(messages, len(self.untaken))):
            self.untaken.popleft()

    def other(self, end: socket.socket) -> tuple[socket.socket, bytearray]:
        """Where bytes from one end go, and what waits to go there."""
        return (self.inner, self.inward) if end is self.outer else (self.outer, self.outward)

    def answered(self, data: bytes) -> None:
        """Looks for the end of the handshake."""
        if self.head is not None:
            self.head += data
            if READY in self.head or len(self.head) > HEAD_BYTES:
                self.head = None


def remove_dead(folder: Path, start: str) -> None:
    """Removes sockets whose name begins so and at which nobody listens any more."""
    for path in folder.glob(f"{start}*"):
        with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            try:
                probe.connect(os.fspath(path))
            except ConnectionRefusedError:
                path.unlink()


def name_of(number: int) -> str:
    """What the inner end of a connection is called, so that whoever gets its messages can tell whose they are."""
    return f"\0audio-pipeline-{os.getpid()}-{number}"


def number_of(file: int) -> int | None:
    """The connection behind a descriptor of ZeroMQ's (`zmq.SRCFD` of a message); None where it is gone meanwhile."""
    try:
        with socket.socket(fileno=os.dup(file)) as end:
            name = end.getpeername()
    except OSError:
        return None
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    digits = text.rpartition("-")[2]
    return int(digits) if digits.isdecimal() and text == name_of(int(digits)) else None
