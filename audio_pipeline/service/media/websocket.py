"""The server's end of a WebSocket (RFC 6455) on a socket that does not block; parsing and masks are `websockets`'s."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import NamedTuple

from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from audio_pipeline.gateway.listener import set_options

SUBPROTOCOL = Subprotocol("apf1")
MAX_BYTES = 1 << 19  # of a message: more than a second of stereo f32
CHUNK = 1 << 13
SEND_BYTES = 1 << 15  # in one call
UNSENT_BYTES = 1 << 14  # what the kernel may hold that it has not sent: 80 ms of stereo s16
MOST_UNSENT = 1 << 16  # answers to pings; beyond, the peer is not read
_silent = logging.getLogger("audio_pipeline.websocket")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class Received(NamedTuple):
    """A whole message."""

    is_text: bool
    data: bytes


class WebSocket:
    """A connection whose handshake came with it. Belongs to one thread."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._protocol = ServerProtocol(subprotocols=[SUBPROTOCOL], max_size=MAX_BYTES, logger=_silent)
        self._unsent = bytearray()
        self._partial = bytearray()  # of a message in fragments
        self._kind: Opcode | None = None
        self._at_end = self._is_shut = False  # nothing more is sent
        self.frames = 0  # received, of any kind: what the peer made us do
        self.bytes_in = self.bytes_out = 0
        _set_options(sock)

    def open(self, head: bytes) -> bool:
        """Answers a handshake; False where it is none that can be accepted: the answer says so, and ends it."""
        self._protocol.receive_data(head)
        requests = self._protocol.events_received()
        if requests and isinstance(requests[0], Request):
            self._protocol.send_response(self._protocol.accept(requests[0]))
        self._collect()
        return self.is_open

    def reject(self, head: bytes, status: int, why: str) -> None:
        """Answers a handshake with an error of HTTP."""
        self._protocol.receive_data(head)
        if self._protocol.events_received():
            self._protocol.send_response(self._protocol.reject(status, f"{why}\n"))
        self._collect()

    @property
    def is_open(self) -> bool:
        """Whether messages may come and go."""
        return self._protocol.state is OPEN

    @property
    def reason(self) -> str:
        """Why it is closing, as far as anybody said."""
        protocol = self._protocol
        return f"{protocol.close_code} {protocol.close_reason}".strip() if not self.is_open else ""

    @property
    def is_sending(self) -> bool:
        """Whether the kernel did not take all yet."""
        return bool(self._unsent)

    @property
    def is_reading(self) -> bool:
        """Whether more may come."""
        return len(self._unsent) < MOST_UNSENT

    def receive(self) -> Iterator[Received]:
        """The messages that are complete with what has come now. Raises OSError where the connection is gone."""
        try:
            data = self.socket.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        self.bytes_in += len(data)
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        for event in self._protocol.events_received():
            self.frames += 1
            if isinstance(event, Frame) and (message := self._joined(event)) is not None:
                yield message
        self._collect()
        if not data:
            raise ConnectionResetError("the peer has closed its end")

    def _joined(self, frame: Frame) -> Received | None:
        """The message that ends with this frame; `websockets` has checked their order and their sizes."""
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            if frame.fin:
                return Received(frame.opcode is Opcode.TEXT, bytes(frame.data))
            self._kind, self._partial = frame.opcode, bytearray(frame.data)
        elif frame.opcode is Opcode.CONT:
            self._partial += frame.data
            if frame.fin:
                whole, self._partial = bytes(self._partial), bytearray()
                return Received(self._kind is Opcode.TEXT, whole)
        return None

    def send(self, message: bytes | str) -> None:
        """Text or a binary message, once `flush` is called; nothing where it is closing."""
        if not self.is_open:
            return
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        self._collect()

    def close(self, code: int, why: str) -> None:
        """Begins to close: the peer answers, or time runs out for it."""
        if self.is_open:
            with contextlib.suppress(ProtocolError):
                self._protocol.send_close(code, why.encode()[:120].decode(errors="ignore"))
            self._collect()

    def _collect(self) -> None:
        for data in self._protocol.data_to_send():
            self._unsent += data
            self._at_end = self._at_end or not data

    @property
    def has_capacity(self) -> bool:
        """Whether the next message should be brought for sending."""
        return self.is_open and len(self._unsent) < SEND_BYTES

    def flush(self) -> bool:
        """Sends what the kernel takes; False where it takes no more for now. Raises OSError."""
        while self._unsent:
            try:
                sent = self.socket.send(self._unsent[:SEND_BYTES])
            except (BlockingIOError, InterruptedError):
                return False
            self.bytes_out += sent
            del self._unsent[:sent]
        if self._at_end and not self._is_shut:
            self._is_shut = True
            self.socket.shutdown(socket.SHUT_WR)
        return True


def _set_options(sock: socket.socket) -> None:
    """A slow reader must cost little sound; what is no tcp socket has no such options."""
    sock.setblocking(False)
    with contextlib.suppress(OSError):
        set_options(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
