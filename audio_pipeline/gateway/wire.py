"""The socket of a connection to a gateway, with the monitor that reports how it fares."""

from __future__ import annotations

from typing import Any, Protocol

import zmq

from audio_pipeline.gateway.curve import Watcher
from audio_pipeline.gateway.remote import Remote

MOST_UNSENT = 2_000  # messages: more than the windows of 16 streams
LAST_MS = 100  # for goodbyes
EVENTS, POLLIN = int(zmq.EVENTS), int(zmq.POLLIN)


class Wire(Protocol):
    """What a `HostConnection` sends through."""

    def dial(self) -> None:
        """Connects anew; what the old connection held is lost."""

    def wait(self, file: int, wait_ms: int) -> None:
        """Until something comes or happens, or `file` can be read."""

    def news(self) -> list[str]:
        """What happened to the connection since the last call, oldest first."""

    def send(self, message: bytes) -> bool:
        """False where it cannot go out now: nobody is there, or too much is on the way."""

    def receive(self) -> bytes | None:
        """The next message, None where none waits."""

    def hang_up(self) -> None:
        """Closes the connection."""

    def close(self) -> None:
        """For good; what was sent last still goes out."""


class ZmqWire:
    """A DEALER. It belongs to one thread, from its first `dial` on."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None
        self._watcher: Watcher | None = None

    def dial(self) -> None:
        self.hang_up()
        socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.IMMEDIATE, 1)  # nothing waits for a gateway that is not there
        socket.setsockopt(zmq.SNDHWM, MOST_UNSENT)
        self._remote.prepare(socket)
        self._watcher = Watcher(socket)
        socket.connect(self._remote.endpoint)
        self._socket = socket

    def wait(self, file: int, wait_ms: int) -> None:
        poller = zmq.Poller()
        poller.register(file, zmq.POLLIN)
        for socket in (self._socket, self._watcher and self._watcher.socket):
            if socket is not None:
                poller.register(socket, zmq.POLLIN)
        poller.poll(wait_ms)

    def news(self) -> list[str]:
        return self._watcher.news() if self._watcher is not None else []

    def send(self, message: bytes) -> bool:
        if self._socket is None:
            return False
        try:
            self._socket.send(message, flags=zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def receive(self) -> bytes | None:
        if self._socket is None or not int(self._socket.get(EVENTS)) & POLLIN:
            return None
        return self._socket.recv(zmq.DONTWAIT)

    def hang_up(self, linger_ms: int = 0) -> None:
        if self._watcher is not None:  # first: a closing socket waits for whoever reads its monitor
            self._watcher.close()
        if self._socket is not None:
            self._socket.close(linger=linger_ms)
        self._watcher = self._socket = None

    def close(self) -> None:
        self.hang_up(LAST_MS)
        self._context.destroy(linger=0)
