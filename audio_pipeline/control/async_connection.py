"""One connection to a control socket, for one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar

import zmq
import zmq.asyncio

from audio_pipeline.control.codec import MSGPACK, Codec, decode
from audio_pipeline.control.connection import LINGER_MS
from audio_pipeline.control.conversation import Conversation, now_s, reply_of, result_of, silence
from audio_pipeline.control.message import Request
from audio_pipeline.control.operations import operation_of
from audio_pipeline.control.received import Received, received
from audio_pipeline.errors import ControlError, WireError

R = TypeVar("R")
A_TURN = 64  # messages


class AsyncConnection:
    """A DEALER and a task that reads it: replies go to whoever waits for them, all else to `received`."""

    def __init__(self, endpoint: str, token: str, codec: Codec = MSGPACK) -> None:
        self._conversation = Conversation(token, codec)
        self._waiting: dict[int, asyncio.Future[Received]] = {}
        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.connect(endpoint)
        self._reader: asyncio.Task[None] | None = None

    async def ask(self, request: Request[R], timeout_s: float | None = None) -> R:
        """Sends a request and waits for its reply. Raises ControlError with the reason."""
        row = operation_of(request)
        number, message = self._conversation.encoded_request(request)
        return reply_of(request, await self._exchange(row.name, number, message, timeout_s or row.timeout_s))

    async def call(self, op: str, args: Mapping[str, object], timeout_s: float) -> Any:
        """As `ask`, by name and without types."""
        number, message = self._conversation.encoded(op, args)
        return await self._exchange(op, number, message, timeout_s)

    async def _exchange(self, op: str, number: int, message: bytes, timeout_s: float) -> Any:
        if self._reader is None:
            self._reader = asyncio.create_task(self._read())
        reply: asyncio.Future[Received] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply
        try:
            await self._socket.send(message)
            return result_of(await asyncio.wait_for(reply, timeout_s))
        except asyncio.TimeoutError:
            raise ControlError(silence(op, timeout_s)) from None
        finally:
            del self._waiting[number]

    async def _read(self) -> None:
        while True:
            for _ in range(A_TURN):
                self._on_message(await self._socket.recv())
            await asyncio.sleep(0)  # a flood of messages leaves the event loop to others

    def _on_message(self, data: bytes) -> None:
        try:
            message = received(decode(data))
        except WireError:
            return  # it answers nobody
        number = message.get("id")
        waiting = self._waiting.get(number) if isinstance(number, int) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    async def send(self, request: Request[Any]) -> None:
        """Sends a request whose reply is read later."""
        await self._socket.send(self._conversation.encoded_request(request)[1])

    async def open_exchange(self, request: Request[R]) -> R:
        """As `ask`, on a connection that nobody else reads: what comes before the reply is passed over."""
        row = operation_of(request)
        number, message = self._conversation.encoded_request(request)
        await self._socket.send(message)
        deadline_s = now_s() + row.timeout_s
        while (reply := await self.receive(deadline_s - now_s())) is not None:
            if reply.get("id") == number:
                return reply_of(request, result_of(reply))
        raise ControlError(silence(row.name, row.timeout_s))

    async def receive(self, timeout_s: float) -> Received | None:
        """The next message, None where none comes in time."""
        if not await self._socket.poll(max(int(timeout_s * 1000), 0)):
            return None
        return received(decode(await self._socket.recv()))

    async def close(self, last: Request[Any] | None = None) -> None:
        """`last` is still sent, where that takes no longer than `LINGER_MS`."""
        if last is not None:
            await self.send(last)
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        self._socket.close(linger=0 if last is None else LINGER_MS)
        self._context.term()
