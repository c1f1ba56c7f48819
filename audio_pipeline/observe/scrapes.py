"""Answers scrapes over HTTP in one thread: few connections at a time, and each has a deadline for all of its request.

Whoever connects and says nothing, or little by little, makes way for whoever comes.
"""

from __future__ import annotations

import hmac
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from io import BytesIO

from audio_pipeline.control.state import State
from audio_pipeline.errors import PipelineError
from audio_pipeline.observe.prometheus import CONTENT_TYPE, text_of

PLACES = 32  # connections; the oldest one makes way for the next
REQUEST_S = 5.0  # from the connection to the last byte of the answer
HEAD_BYTES = 16_384
FRESH_S = 0.5  # however many ask, the supervisor is asked no more often
ENDS = (b"\r\n\r\n", b"\n\n")


@dataclass(eq=False)
class _Caller:
    """One connection: what it has said so far, then what is still to be sent."""

    socket: socket.socket
    deadline_s: float
    head: bytearray = field(default_factory=bytearray)
    answer: memoryview | None = None


class Metrics:
    """The text of a state, made no more often than twice a second. `state` may raise PipelineError."""

    def __init__(self, state: Callable[[], State], bearer: str = "") -> None:
        self._state, self._bearer = state, bearer
        self._kept: tuple[float, int, bytes] | None = None

    def admits(self, authorization: str) -> bool:
        """Whether a request's Authorization header may read."""
        return not self._bearer or hmac.compare_digest(authorization.encode(), f"Bearer {self._bearer}".encode())

    def text(self) -> tuple[int, bytes]:
        """Status and text: now, or as half a second ago."""
        if self._kept is None or time.monotonic() - self._kept[0] > FRESH_S:
            status, text = self._now()
            self._kept = (time.monotonic(), status, text)
        return self._kept[1:]

    def _now(self) -> tuple[int, bytes]:
        try:
            return 200, text_of(self._state())
        except PipelineError as error:
            return 503, f"{error}\n".encode()


class Scrapes:
    """The connections of one listening socket, which is not blocking."""

    def __init__(self, listener: socket.socket, metrics: Metrics, now: Callable[[], float] = time.monotonic) -> None:
        self._listener, self._metrics, self._now = listener, metrics, now
        self._callers: list[_Caller] = []  # oldest first
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)

    def __len__(self) -> int:
        """Connections that are there now."""
        return len(self._callers)

    def turn(self, timeout_s: float) -> None:
        """Waits until there is something to do, at most so long, and does it."""
        for key, _ in self._selector.select(timeout_s):
            if key.data is None:
                self._accept()
            elif key.data in self._callers:
                self._serve(key.data)
        for caller in [caller for caller in self._callers if self._now() > caller.deadline_s]:
            self._drop(caller)

    def _accept(self) -> None:
        """One at a time: where descriptors are gone, accept fails also when nobody else waits."""
        try:
            made, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:  # it broke off, or there is no descriptor: the oldest one's is free then
            self._drop_oldest()
            return
        if len(self._callers) >= PLACES:
            self._drop_oldest()
        made.setblocking(False)
        caller = _Caller(made, self._now() + REQUEST_S)
        self._callers.append(caller)
        self._selector.register(made, selectors.EVENT_READ, caller)

    def _drop_oldest(self) -> None:
        if self._callers:
            self._drop(self._callers[0])

    def _serve(self, caller: _Caller) -> None:
        try:
            if caller.answer is None:
                self._read(caller)
            if caller.answer is not None:
                self._write(caller, caller.answer)
        except BlockingIOError:
            pass  # more later
        except OSError:
            self._drop(caller)  # a client that breaks off is nobody's news

    def _read(self, caller: _Caller) -> None:
        data = caller.socket.recv(4_096)
        if not data:
            raise ConnectionResetError
        caller.head += data
        if any(end in caller.head for end in ENDS) or len(caller.head) > HEAD_BYTES:
            caller.answer = memoryview(answer(bytes(caller.head[: HEAD_BYTES + 1]), self._metrics))
            self._selector.modify(caller.socket, selectors.EVENT_WRITE, caller)

    def _write(self, caller: _Caller, rest: memoryview) -> None:
        caller.answer = rest[caller.socket.send(rest) :]
        if not caller.answer:
            caller.socket.shutdown(socket.SHUT_WR)
            self._drop(caller)

    def _drop(self, caller: _Caller) -> None:
        self._callers.remove(caller)
        with suppress(KeyError, ValueError):
            self._selector.unregister(caller.socket)
        caller.socket.close()

    def close(self) -> None:
        for caller in list(self._callers):
            self._drop(caller)
        self._selector.close()


def answer(head: bytes, metrics: Metrics) -> bytes:
    """The whole answer to a request, whose lines up to the empty one are `head`."""
    return _Request(head, metrics).wfile.getvalue()


class _Request(BaseHTTPRequestHandler):
    """One request that has been read, answered into memory."""

    server_version, sys_version = "audio-pipeline", ""
    wfile: BytesIO

    def __init__(self, head: bytes, metrics: Metrics) -> None:
        self._metrics = metrics
        self.rfile, self.wfile, self.client_address = BytesIO(head), BytesIO(), ("", 0)
        self.handle_one_request()

    def do_GET(self) -> None:
        if not self._metrics.admits(self.headers.get("Authorization", "")):
            self._answer(401, b"a bearer token is needed\n", {"WWW-Authenticate": "Bearer"})
        elif self.path.partition("?")[0] != "/metrics":
            self._answer(404, b"metrics are at /metrics\n")
        else:
            status, text = self._metrics.text()
            self._answer(status, text, {"Content-Type": CONTENT_TYPE} if status == 200 else None)

    def _answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Type": "text/plain; charset=utf-8", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are not news."""
