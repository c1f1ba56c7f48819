"""One connection to a control socket, for one thread at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import zmq

from audio_pipeline.control.codec import MSGPACK, Codec, decode
from audio_pipeline.control.conversation import Conversation, now_s, reply_of, result_of, silence
from audio_pipeline.control.message import Request
from audio_pipeline.control.operations import operation_of
from audio_pipeline.control.received import Received, received
from audio_pipeline.errors import ControlError

R = TypeVar("R")
LINGER_MS = 200
Silence = Callable[[str, float], str]


class Transport(Protocol):
    """What carries the messages of a connection."""

    def send(self, message: bytes) -> None:
        """Sends it, as soon as somebody is there."""

    def receive(self, timeout_s: float) -> Received | None:
        """The next message, None where none comes in time."""

    def close(self, linger_ms: int) -> None:
        """What was sent last may still take so long."""


class SocketTransport:
    """A DEALER to a control socket of this host."""

    def __init__(self, endpoint: str) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.connect(endpoint)

    def send(self, message: bytes) -> None:
        self._socket.send(message)

    def receive(self, timeout_s: float) -> Received | None:
        return received(decode(self._socket.recv())) if self._socket.poll(max(int(timeout_s * 1000), 0)) else None

    def close(self, linger_ms: int) -> None:
        self._socket.close(linger=linger_ms)
        self._context.term()


class Connection:
    """Requests over a transport, and what comes back. `silence` words the error where no reply comes."""

    def __init__(self, transport: Transport, token: str, codec: Codec = MSGPACK, silence: Silence = silence) -> None:
        self._transport, self._silence = transport, silence
        self._conversation = Conversation(token, codec)

    def ask(self, request: Request[R], timeout_s: float | None = None) -> R:
        """Sends a request and waits for its reply. Raises ControlError with the reason."""
        row = operation_of(request)
        number, message = self._conversation.encoded_request(request)
        return reply_of(request, self._exchange(row.name, number, message, timeout_s or row.timeout_s))

    def call(self, op: str, args: Mapping[str, object], timeout_s: float) -> Any:
        """As `ask`, by name and without types."""
        number, message = self._conversation.encoded(op, args)
        return self._exchange(op, number, message, timeout_s)

    def _exchange(self, op: str, number: int, message: bytes, timeout_s: float) -> Any:
        self._transport.send(message)
        deadline_s = now_s() + timeout_s
        while (left_s := deadline_s - now_s()) > 0 and (reply := self.receive(left_s)) is not None:
            if reply.get("id") == number:
                return result_of(reply)
        raise ControlError(self._silence(op, timeout_s))

    def send(self, request: Request[Any]) -> None:
        """Sends a request whose reply is read later."""
        self._transport.send(self._conversation.encoded_request(request)[1])

    def receive(self, timeout_s: float) -> Received | None:
        """The next message, None where none comes in time."""
        return self._transport.receive(timeout_s)

    def close(self, last: Request[Any] | None = None) -> None:
        """`last` is still sent, where that takes no longer than `LINGER_MS`."""
        if last is not None:
            self.send(last)
        self._transport.close(0 if last is None else LINGER_MS)
