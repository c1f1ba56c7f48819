"""The sockets of one node: its links, its outputs and its waker, waited on together.

ZeroMQ's own poll asks each socket twice and the system twice. Here each is asked once, and then the system is: a
descriptor of a socket is readable when there may be something on it, which whoever receives finds out.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import zmq

from audio_pipeline.links.limits import EVENTS, POLLIN

Socket = zmq.Socket[Any]


class Sockets:
    """What a node waits on; its links and outputs come and go."""

    def __init__(self, wake_fd: int) -> None:
        self.wake_fd = wake_fd
        self._sockets: dict[int, Socket] = {}  # by descriptor
        self._on_ready: dict[int, Callable[[], object]] = {}
        self._poll = select.poll()
        self._poll.register(wake_fd, select.POLLIN)

    def add(self, socket: Socket, on_ready: Callable[[], object]) -> None:
        """From now on it is waited on; `on_ready` takes what has come, if anything has."""
        fd = int(socket.get(zmq.FD))
        self._sockets[fd], self._on_ready[fd] = socket, on_ready
        self._poll.register(fd, select.POLLIN)

    def remove(self, socket: Socket) -> None:
        """Does nothing for one that is not there."""
        for fd in [fd for fd, known in self._sockets.items() if known is socket]:
            del self._sockets[fd], self._on_ready[fd]
            self._poll.unregister(fd)

    @property
    def fds(self) -> list[int]:
        """Descriptors of all of them."""
        return [self.wake_fd, *self._sockets]

    def waiting(self) -> list[int]:
        """Descriptors of those on which something has come. What comes after this makes a descriptor readable."""
        return [fd for fd, socket in self._sockets.items() if int(socket.get(EVENTS)) & POLLIN]

    def poll(self, timeout_ms: int) -> list[int]:
        """Descriptors of those on which something has come or may have, after at most `timeout_ms`."""
        waiting = self.waiting()
        if not waiting:
            return [fd for fd, _ in self._poll.poll(timeout_ms)]
        return [*waiting, *(fd for fd, _ in self._poll.poll(0) if fd not in waiting)]

    def receive(self, ready: Iterable[int]) -> None:
        """Takes what has come on those that `poll` found."""
        for fd in ready:
            if fd != self.wake_fd:
                self._on_ready[fd]()


def poll_all(members: Sequence[Sockets], timeout_ms: int) -> set[int]:
    """Descriptors on which something has come for any of several nodes, after at most `timeout_ms`."""
    poll, waiting = select.poll(), {fd for sockets in members for fd in sockets.waiting()}
    for sockets in members:
        for fd in sockets.fds:
            poll.register(fd, select.POLLIN)
    return waiting.union(fd for fd, _ in poll.poll(0 if waiting else timeout_ms))
