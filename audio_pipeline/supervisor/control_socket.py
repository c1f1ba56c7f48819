"""The socket on which clients and nodes reach the supervisor."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Protocol

import zmq

from audio_pipeline.links.limits import A_TURN
from audio_pipeline.links.waker import Waker
from audio_pipeline.worker.commands import Command, packed

SEND_QUEUE = 256  # messages for one client or node; whoever does not read loses what is beyond
RECEIVE_S = 0.02  # a turn, so that a flood of requests does not keep the supervisor from its nodes
LINGER_MS = 200
MESSAGE_BYTES = 1 << 22


class Socket(Protocol):
    """What the supervisor needs of it."""

    def wait(self, timeout_ms: int) -> None:
        """Until a message or a wake-up is there."""

    def receive(self) -> Iterator[tuple[bytes, bytes]]:
        """(sender, message) of what has come, as much as one turn may take."""

    def send(self, address: bytes, command: Command) -> None:
        """To a node; one that has gone misses it."""

    def send_bytes(self, address: bytes, data: bytes) -> None:
        """A message to a client, as bytes."""

    def bind_again(self) -> None:
        """After the file was removed or replaced. Raises zmq.ZMQError."""


class ControlSocket(Socket):
    """A ROUTER; `waker` ends a wait from another thread. Raises zmq.ZMQError where it cannot be bound."""

    def __init__(self, endpoint: str, waker: Waker) -> None:
        self.endpoint, self._waker = endpoint, waker
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, LINGER_MS)
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MESSAGE_BYTES)
        self._socket.setsockopt(zmq.SNDHWM, SEND_QUEUE)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError:
            self._context.destroy(linger=0)
            raise
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(waker.fd, zmq.POLLIN)

    def wait(self, timeout_ms: int) -> None:
        self._poller.poll(timeout_ms)
        self._waker.clear()

    def receive(self) -> Iterator[tuple[bytes, bytes]]:
        until_s = time.monotonic() + RECEIVE_S
        for _ in range(A_TURN):
            if not self._socket.poll(0) or time.monotonic() > until_s:
                return
            sender, *parts = self._socket.recv_multipart()
            yield sender, parts[-1] if parts else b""

    def send(self, address: bytes, command: Command) -> None:
        self.send_bytes(address, packed(command))

    def send_bytes(self, address: bytes, data: bytes) -> None:
        self._socket.send_multipart([address, data])

    def bind_again(self) -> None:
        self._socket.bind(self.endpoint)  # a second time: an unbind would remove the new file, later

    def close(self) -> None:
        """Sends what is queued, for LINGER_MS at most."""
        self._context.destroy()
