"""One connection to a control socket, for one thread at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import zmq

from audio_pipeline.control.codec import MSGPACK, Codec, decode
from audio_pipeline.control.conversation import Conversation, now_s, reply_of, result_of, silence
from audio_pipeline.control.message import Request
from audio_pipeline.control.operations import operation_of
from audio_pipeline.errors import ControlError

R = TypeVar("R")
Prepare = Callable[[zmq.Socket[bytes]], None]
LINGER_MS = 200
Silence = Callable[[str, float], str]


def unprepared(socket: zmq.Socket[bytes]) -> None:
    """No options beyond ours: the endpoint is of this host."""


class Connection:
    """A DEALER, and what is said over it. `silence` words the error where no reply comes."""

    def __init__(
        self,
        endpoint: str,
        token: str,
        prepare: Prepare = unprepared,
        codec: Codec = MSGPACK,
        silence: Silence = silence,
    ) -> None:
        self._conversation, self._silence = Conversation(token, codec), silence
        self._context: zmq.Context[Any] = zmq.Context()
        self.socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        prepare(self.socket)
        self.socket.connect(endpoint)

    def ask(self, request: Request[R], timeout_s: float | None = None) -> R:
        """Sends a request and waits for its reply. Raises ControlError with the reason."""
        row = operation_of(request)
        number, message = self._conversation.encoded_request(request)
        return reply_of(request, self._exchange(row.name, number, message, timeout_s or row.timeout_s))

    def call(self, op: str, args: dict[str, Any], timeout_s: float) -> Any:
        """As `ask`, by name and without types."""
        number, message = self._conversation.encoded(op, args)
        return self._exchange(op, number, message, timeout_s)

    def _exchange(self, op: str, number: int, message: bytes, timeout_s: float) -> Any:
        self.socket.send(message)
        deadline_s = now_s() + timeout_s
        while (left_s := deadline_s - now_s()) > 0 and self.socket.poll(int(left_s * 1000)):
            reply = decode(self.socket.recv())
            if reply.get("id") == number:
                return result_of(reply)
        raise ControlError(self._silence(op, timeout_s))

    def send(self, request: Request[Any]) -> None:
        """Sends a request whose reply is read later."""
        self.socket.send(self._conversation.encoded_request(request)[1])

    def receive(self, timeout_s: float) -> dict[str, Any] | None:
        """The next message, None where none comes in time."""
        return decode(self.socket.recv()) if self.socket.poll(max(int(timeout_s * 1000), 0)) else None

    def close(self, last: Request[Any] | None = None) -> None:
        """`last` is still sent, where that takes no longer than `LINGER_MS`."""
        if last is not None:
            self.send(last)
        self.socket.close(linger=0 if last is None else LINGER_MS)
        self._context.term()
