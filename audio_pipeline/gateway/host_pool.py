"""The connections of this process to other hosts: one to each gateway and with each key, however many ports use it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from audio_pipeline.gateway.host_connection import HostConnection
from audio_pipeline.gateway.remote import Remote
from audio_pipeline.gateway.stream import End, Line
from audio_pipeline.gateway.totals import Totals

if TYPE_CHECKING:
    from audio_pipeline.context import Context

E = TypeVar("E", bound=End)


@dataclass
class _Shared:
    connection: HostConnection
    users: int = 0


class HostPool:
    """Opens a connection with its first stream, and ends it with its last one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shared: dict[Remote, _Shared] = {}

    def borrow(self, remote: Remote) -> HostConnection:
        """The connection to a host; `give_back` ends the use of it."""
        with self._lock:
            shared = self._shared.get(remote)
            if shared is None:
                shared = self._shared[remote] = _Shared(HostConnection(remote))
                shared.connection.start()
            shared.users += 1
            return shared.connection

    def give_back(self, connection: HostConnection) -> None:
        """One user fewer."""
        with self._lock:
            shared = self._shared[connection.remote]
            shared.users -= 1
            if shared.users:
                return
            del self._shared[connection.remote]
        connection.end()


POOL = HostPool()


class RemotePort(Generic[E]):
    """A stream to another host, over the connection that this process has to it; for whatever uses one."""

    def __init__(self, remote: Remote, make: Callable[[Line], E], pool: HostPool = POOL) -> None:
        self._pool, self._connection = pool, pool.borrow(remote)
        self._stream = self._connection.open(make)
        self.remote, self.offset, self.notices = remote, self._connection.offset, self._stream.notices
        self._totals = Totals()

    @property
    def end(self) -> E:
        """What uses the stream; but for what it says of itself it belongs to the connection's thread."""
        return self._stream.end

    @property
    def connected(self) -> bool:
        return self._stream.connected

    @property
    def trouble(self) -> str:
        """One sentence while something is wrong."""
        return self._stream.trouble

    @property
    def reconnects(self) -> int:
        return self._stream.reconnects

    @property
    def bad(self) -> int:
        """Messages that could not be read."""
        return self._stream.bad

    def report(self, ctx: Context) -> None:
        """Notices to a node's log, and how the connection is as its gauges and counters."""
        for notice in self.notices.drain():
            ctx.log(notice)
        ctx.gauge("connected", float(self.connected))
        ctx.gauge("round_trip_ms", self.offset.round_trip_ns / 1e6)
        ctx.gauge("offset_ms", self.offset.offset_ns / 1e6)
        self._totals.count(ctx, {"reconnects": self.reconnects, "bad": self.bad})

    def wake(self) -> None:
        """There is something to send."""
        self._connection.wake()

    def close(self) -> None:
        """Says goodbye, once; the last one of a connection ends that."""
        if self._stream.closed.is_set():
            return
        self._connection.close(self._stream)
        self._pool.give_back(self._connection)
