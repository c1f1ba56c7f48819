"""Where metrics are served: an address, the socket that listens there, and who may read.

Loopback needs nothing; an address that others can reach must be named, and asks for a bearer token that lies in a
private file. Requests are answered by a process of their own (`scrapes`, `control.metrics_process`).
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from audio_pipeline.errors import ConfigError, PipelineError
from audio_pipeline.home import CONFIG
from audio_pipeline.private_file import create_private

LOOPBACK = "127.0.0.1"
BACKLOG = 128  # connections that the kernel holds while the process that answers is started again
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
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise PipelineError(f"metrics: {path} cannot be used: {CONFIG.why(error)}") from error
    if len(token) < 16:
        raise PipelineError(f"metrics: {path} holds no token of 16 characters or more; remove it to get a new one")
    return token


class Endpoint:
    """A socket that listens for scrapes; who has it may be started again, the address stays. Raises PipelineError."""

    def __init__(self, address: Address, *, token_path: Path | None = None) -> None:
        self.token_path = None if address.is_loopback else token_path or token_file()
        self.bearer = the_token(self.token_path) if self.token_path else ""
        self.socket = _listening(address)
        self.address = Address(address.host, int(self.socket.getsockname()[1]))

    @property
    def summary(self) -> str:
        """Where it is, for whoever started it."""
        key = f", with the bearer token in {self.token_path}" if self.token_path else ""
        return f"metrics at {self.address.url}{key}"

    def close(self) -> None:
        self.socket.close()


def _listening(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address.host, address.port))
        made.listen(BACKLOG)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise PipelineError(
            f"metrics: cannot listen on {address.host} port {address.port}: {error.strerror or error}; "
            "choose another with --metrics [HOST:]PORT"
        ) from error
    return made
