"""The sockets of one node: its links, its outputs and its waker, waited on together."""

from __future__ import annotations

from typing import Any

import zmq


class Sockets:
    """A poller that the node's links and outputs register with as they come and go."""

    def __init__(self, wake_fd: int) -> None:
        self._poller = zmq.Poller()
        self.add(wake_fd)

    def add(self, socket: Any) -> None:
        self._poller.register(socket, zmq.POLLIN)

    def remove(self, socket: Any) -> None:
        """Does nothing for one that is not there."""
        self._poller.register(socket, 0)

    @property
    def pairs(self) -> list[tuple[Any, int]]:
        """All of them, as `zmq.zmq_poll` takes them."""
        return self._poller.sockets

    def poll(self, timeout_ms: int) -> dict[Any, int]:
        """Those on which something came, after at most `timeout_ms`."""
        return dict(self._poller.poll(timeout_ms))
