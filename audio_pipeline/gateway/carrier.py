"""Carries the bytes of connections between their two sockets, without one waiting for another."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time

from audio_pipeline.gateway.connection import Connection

CHUNK = 1 << 14


class Carrier:
    """Registers the sockets of each connection with a selector, as its state allows."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector

    def enter(self, connection: Connection) -> None:
        """A new connection."""
        for end in (connection.outer, connection.inner):
            self._selector.register(end, selectors.EVENT_READ, connection)

    def leave(self, connection: Connection) -> None:
        """Closes both of its sockets."""
        for end in (connection.outer, connection.inner):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(end)
            end.close()

    def serve(self, connection: Connection, end: socket.socket, events: int) -> None:
        """An end is ready. Raises OSError or WireError where the connection has to end."""
        if events & selectors.EVENT_WRITE:
            self._flush(connection, end)
        if events & selectors.EVENT_READ:
            self._carry(connection, end)
        self.watch(connection)

    def _carry(self, connection: Connection, end: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError, InterruptedError):
            data = end.recv(CHUNK)
            if not data:
                raise ConnectionResetError
            if end is connection.inner:
                connection.answered(data)
            else:
                connection.untaken += connection.meter.push(data)
                connection.resting = not connection.budget.spend(len(data), time.monotonic())
            other, waiting = connection.other(end)
            waiting += data
            self._flush(connection, other)

    def _flush(self, connection: Connection, end: socket.socket) -> None:
        waiting = connection.inward if end is connection.inner else connection.outward
        if waiting:
            with contextlib.suppress(BlockingIOError, InterruptedError):
                del waiting[: end.send(waiting)]

    def watch(self, connection: Connection) -> None:
        """An end is read only while nothing waits at the other one, so a slow reader holds up nobody but its sender."""
        for end, coming, going in (
            (connection.outer, connection.inward, connection.outward),
            (connection.inner, connection.outward, connection.inward),
        ):
            rests = end is connection.outer and (connection.resting or connection.held)
            events = (0 if coming or rests else selectors.EVENT_READ) | (selectors.EVENT_WRITE if going else 0)
            known = end in self._selector.get_map()
            if events and known:
                self._selector.modify(end, events, connection)
            elif events:
                self._selector.register(end, events, connection)
            elif known:
                self._selector.unregister(end)

    def wake_rested(self, connection: Connection, now_s: float) -> None:
        """Reads one again that had sent faster than it may."""
        if connection.resting and connection.budget.left(now_s) > CHUNK:
            connection.resting = False
            self.watch(connection)
