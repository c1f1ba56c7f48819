"""Wakes a thread that waits in a poll: a socket pair, since a ZeroMQ socket belongs to one thread."""

from __future__ import annotations

import socket


class Waker:
    """`wake` from any thread makes `fd` readable until `clear`."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    @property
    def fd(self) -> int:
        return self._reader.fileno()

    def wake(self) -> None:
        try:
            self._writer.send(b"\0")
        except BlockingIOError:
            pass  # it is awake already
        except OSError:
            pass  # closed: nobody waits any more

    def clear(self) -> None:
        try:
            while self._reader.recv(4096):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        self._reader.close()
        self._writer.close()
