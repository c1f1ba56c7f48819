"""A browser's end of a sound connection, driven by the test's thread."""

from __future__ import annotations

import json
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Frame as Piece
from websockets.frames import Opcode
from websockets.protocol import CONNECTING
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from audio_pipeline.frame import Frame
from audio_pipeline.frame_codec import parse
from audio_pipeline.gateway.streams import is_frame
from audio_pipeline.service.media.handover import Handed, hand_over
from tests.patience import PATIENCE_S

POLL_S = 0.005


def until(true_of: Callable[[], object], what: str = "it never came to that") -> None:
    """Waits for other threads and processes."""
    deadline = time.monotonic() + PATIENCE_S
    while not true_of():
        assert time.monotonic() < deadline, what
        time.sleep(0.002)


def request_head(protocol: ClientProtocol) -> bytes:
    """What a browser would send first."""
    protocol.send_request(protocol.connect())
    return b"".join(protocol.data_to_send())


class Browser:
    """Speaks as a page does; `messages` and `frames` are what came."""

    def __init__(self, sock: socket.socket, *, subprotocol: str = "apf1") -> None:
        self.socket = sock
        self.socket.setblocking(False)
        self.protocol = ClientProtocol(parse_uri("ws://127.0.0.1/audio"), subprotocols=[Subprotocol(subprotocol)])
        self.head = request_head(self.protocol)
        self.messages: deque[dict[str, Any]] = deque()
        self.frames: deque[bytes] = deque()
        self.is_gone = False

    def hand_over(self, folder: Path, theirs: socket.socket, **handed: Any) -> None:
        """As the web process does with its side of the connection."""
        fields = {"session": "one", "run": "", "name": "Ann", "role": "play", **handed}
        hand_over(folder, theirs, Handed(v=1, request=self.head, **fields))
        theirs.close()

    def await_open(self, serve: Callable[[], object] = lambda: None) -> None:
        """Until the handshake is answered."""
        deadline = time.monotonic() + PATIENCE_S
        while self.protocol.state is CONNECTING:
            assert time.monotonic() < deadline and not self.is_gone, self.protocol.handshake_exc
            serve()
            self.turn()

    def say(self, **fields: Any) -> None:
        """A text message."""
        self.text(json.dumps(fields))

    def text(self, text: str | bytes) -> None:
        """A text message, whatever it holds."""
        self.protocol.send_text(text if isinstance(text, bytes) else text.encode())
        self.flush()

    def binary(self, message: bytes) -> None:
        """A binary message."""
        self.protocol.send_binary(message)
        self.flush()

    def flush(self) -> None:
        """Sends what is to be sent."""
        self.raw(b"".join(self.protocol.data_to_send()))

    def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        deadline = time.monotonic() + PATIENCE_S
        while data and not self.is_gone:
            assert time.monotonic() < deadline
            try:
                data = data[self.socket.send(data) :]
            except BlockingIOError:
                select.select([], [self.socket], [], POLL_S)
            except OSError:
                self.is_gone = True

    def turn(self, wait_s: float = POLL_S) -> None:
        """Takes what has come."""
        if self.is_gone or not select.select([self.socket], [], [], wait_s)[0]:
            return
        try:
            data = self.socket.recv(1 << 16)
        except OSError:
            data = b""
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
            self.is_gone = True
        for event in self.protocol.events_received():
            if isinstance(event, Piece) and event.opcode is Opcode.TEXT:
                self.messages.append(json.loads(event.data))
            elif isinstance(event, Piece) and event.opcode is Opcode.BINARY:
                assert is_frame(bytes(event.data))
                self.frames.append(bytes(event.data))
        if not self.is_gone:
            self.flush()

    def await_message(self, kind: str, serve: Callable[[], object] = lambda: None, **fields: Any) -> dict[str, Any]:
        """The first message of a kind with these fields; the others stay."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for message in self.messages:
                if message["t"] == kind and fields.items() <= message.items():
                    self.messages.remove(message)
                    return message
            assert time.monotonic() < deadline and not self.is_gone, (kind, fields, self.closed, list(self.messages))
            serve()
            self.turn()

    @property
    def closed(self) -> str:
        """Why the connection was closed, as it was said."""
        return f"{self.protocol.close_code} {self.protocol.close_reason}"

    def take(self) -> Frame | None:
        """The next frame."""
        return parse(self.frames.popleft()) if self.frames else None

    def close(self) -> None:
        """Goes without a word."""
        self.socket.close()
