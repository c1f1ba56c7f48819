"""Where metrics are served: an address, the socket that listens there, and who may read.

Loopback needs nothing; an address that others can reach must be named, and asks for a bearer token that lies in a
private file. Requests are answered by a process of their own (`scrapes`, `metrics_process`).
"""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

from audio_pipeline.errors import PipelineError
from audio_pipeline.home import CONFIG
from audio_pipeline.host.address import Address
from audio_pipeline.private_file import create_private

BACKLOG = 128  # connections that the kernel holds while the process that answers is started again


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
