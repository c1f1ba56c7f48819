"""The metrics endpoint: Prometheus' text format over HTTP, in threads that never touch the sound.

It asks the supervisor for the state, which reads the boards. Loopback needs nothing; an address that others
can reach must be named, and asks for a bearer token that lies in a private file.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from audio_pipeline import threads
from audio_pipeline.errors import ConfigError, PipelineError
from audio_pipeline.home import CONFIG
from audio_pipeline.observe.prometheus import CONTENT_TYPE, State, text_of
from audio_pipeline.private_file import create_private

LOOPBACK = "127.0.0.1"
FRESH_S = 0.5  # however many ask, the supervisor is asked no more often
SLOW_S = 5.0  # a client may take so long to say what it wants
EXAMPLE = "expected [HOST:]PORT, such as 9464 or 127.0.0.1:9464"


@dataclass(frozen=True)
class Address:
    """Where to listen."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """True where nobody but this host can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/metrics"


def parse_address(text: str) -> Address:
    """Raises ConfigError with what was expected.

    >>> parse_address("9464"), parse_address("[::1]:0")
    (Address(host='127.0.0.1', port=9464), Address(host='::1', port=0))
    """
    host, colon, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if colon else LOOPBACK
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"metrics: {EXAMPLE}, got {text!r}")
    return Address(host, int(port))


def token_file() -> Path:
    """Where the token lies: `audio-pipeline/metrics.token` in $XDG_CONFIG_HOME (~/.config)."""
    return CONFIG.folder() / "metrics.token"


def the_token(path: Path) -> str:
    """The token in a file of ours with mode 0600, made where there is none. Raises PipelineError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            if not path.is_symlink():
                create_private(path, f"{secrets.token_urlsafe(32)}\n".encode())  # whole: another may read it now
        except FileExistsError:
            pass
        found = path.lstat()
        if path.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise PipelineError(f"metrics: {path} must be a file of yours with mode 0600; remove it to get a new token")
        token = path.read_text().strip()
    except OSError as error:
        raise PipelineError(f"metrics: {path} cannot be used: {CONFIG.why(error)}") from error
    if len(token) < 16:
        raise PipelineError(f"metrics: {path} holds no token of 16 characters or more; remove it to get a new one")
    return token


class Exporter:
    """Listens from `start` on; `look` gives the state and may raise PipelineError."""

    def __init__(self, address: Address, look: Callable[[], State], *, token_path: Path | None = None) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._kept: tuple[float, bytes] | None = None
        self.token_path = None if address.is_loopback else token_path or token_file()
        self._token = the_token(self.token_path) if self.token_path else ""
        self._server = _bound(address, _handler(self))
        self.address = Address(address.host, int(self._server.server_address[1]))
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threads.start(self._server.serve_forever, "metrics")

    @property
    def said(self) -> str:
        """Where it is, for whoever started it."""
        key = f", with the bearer token in {self.token_path}" if self.token_path else ""
        return f"metrics at {self.address.url}{key}"

    def admits(self, authorization: str) -> bool:
        """Whether a request's Authorization header may read."""
        return not self._token or hmac.compare_digest(authorization.encode(), f"Bearer {self._token}".encode())

    def text(self) -> bytes:
        """The metrics now, or those of half a second ago. Raises PipelineError."""
        with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] > FRESH_S:
                self._kept = (time.monotonic(), text_of(self._look()))
            return self._kept[1]

    def close(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 16

    def server_bind(self) -> None:
        """Without asking a name server for our own name, which can take long."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that breaks off is nobody's news."""


class _Server6(_Server):
    address_family = socket.AF_INET6


def _bound(address: Address, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    kind = _Server6 if ":" in address.host else _Server
    try:
        return kind((address.host, address.port), handler)
    except OSError as error:
        raise PipelineError(
            f"metrics: cannot listen on {address.host} port {address.port}: {error.strerror or error}; "
            "choose another with --metrics [HOST:]PORT"
        ) from error


def _handler(exporter: Exporter) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = SLOW_S
        server_version, sys_version = "audio-pipeline", ""

        def do_GET(self) -> None:
            if not exporter.admits(self.headers.get("Authorization", "")):
                self._answer(401, b"a bearer token is needed\n", {"WWW-Authenticate": "Bearer"})
            elif self.path.partition("?")[0] != "/metrics":
                self._answer(404, b"metrics are at /metrics\n")
            else:
                self._metrics()

        def _metrics(self) -> None:
            try:
                self._answer(200, exporter.text(), {"Content-Type": CONTENT_TYPE})
            except PipelineError as error:
                self._answer(503, f"{error}\n".encode())

        def _answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(code)
            for name, value in {"Content-Type": "text/plain; charset=utf-8", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are not news."""

    return Handler
