"""What a supervisor and a pool of workers exchange over a private Unix socket, one connection a worker.

The supervisor asks the host's pool once (`Take` or `Hold`), its own pool as often as it likes (`Own`, `Take`). The
answer is `Taken` with the process, and `Ended` once that has ended. In between the connection belongs to the worker:
its job comes over it, the notice why it ends goes over it, and its end, with the supervisor, ends the worker.
"""

from __future__ import annotations

import select
import socket
import struct
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from audio_pipeline.errors import ConfigError, WireError
from audio_pipeline.packed import BYTES, dumps, unpack_map
from audio_pipeline.settings import build

HEAD = struct.Struct("<I")
READY, THREADS = b"r", b"t"  # a pipeline's own pool has imported; what it has imported has started threads
PLAIN = "plain"  # its argument where it is to import no package but ours
LATER = "later"  # and where others play meanwhile
MOST_BYTES = 1 << 18  # the environment is in it
MOST_MARK_BYTES = 500

M = TypeVar("M")


@dataclass(frozen=True)
class Hold:
    """A supervisor uses the pool for as long as the connection stands; workers for `preload` are made ready."""

    token: str
    preload: tuple[str, ...] = ()


@dataclass(frozen=True)
class Own:
    """A pipeline's own pool: the mark of its processes, its log, and what they import. It may come again."""

    run: str
    log: str
    preload: tuple[str, ...] = ()


@dataclass(frozen=True)
class Take:
    """A worker process, with what a child inherits from its parent: environment, folder, limits, mark and log."""

    token: str
    preload: tuple[str, ...]
    log: str
    mark: str
    environment: dict[str, str]
    folder: str
    umask: int
    files: int  # soft limit of open files
    cpus: tuple[int, ...] = ()


@dataclass(frozen=True)
class Taken:
    """The process, or why there is none."""

    pid: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Ended:
    """The process is gone, with everything in its process group; negative: by that signal."""

    code: int = 0


def send(connection: socket.socket, message: Any) -> None:
    """Sends a message whole. Raises OSError, and WireError where it is too large."""
    data = dumps(asdict(message))
    if len(data) > MOST_BYTES:
        raise WireError(f"message to the pool of {len(data)} bytes, expected at most {MOST_BYTES}")
    connection.sendall(HEAD.pack(len(data)) + data)


def receive(connection: socket.socket, kind: type[M]) -> M:
    """The next message. Raises EOFError, WireError, OSError (TimeoutError after the connection's timeout)."""
    return parse(receive_bytes(connection), kind)


def receive_bytes(connection: socket.socket) -> bytes:
    """The next message as it came, and nothing behind it. Raises what `receive` does."""
    return exactly(connection, size_in(exactly(connection, HEAD.size)))


def parse(data: bytes, kind: type[M]) -> M:
    """A message of one kind. Raises WireError.

    >>> parse(dumps({"code": -9}), Ended)
    Ended(code=-9)
    """
    return _built(kind, _unpacked(data))


def parse_end(data: bytes) -> Ended | None:
    """What comes behind the job; None for a notice of the worker. Raises WireError."""
    found = _unpacked(data)
    return None if "op" in found else _built(Ended, found)


def parse_request(data: bytes) -> Hold | Take:
    """What a supervisor asks for: a mark is that of a worker. Raises WireError."""
    found = _unpacked(data)
    return _built(Take, found) if "mark" in found else _built(Hold, found)


def parse_own(data: bytes) -> Own | Take:
    """What a supervisor asks of its own pool. Raises WireError."""
    found = _unpacked(data)
    return _built(Take, found) if "mark" in found else _built(Own, found)


def _unpacked(data: bytes) -> dict[str, Any]:
    return unpack_map(data, "message to the pool", MOST_BYTES, BYTES)


def _built(kind: type[M], found: dict[str, Any]) -> M:
    try:
        return build(kind, found)
    except (ConfigError, TypeError) as error:
        raise WireError(f"message to the pool: {error}") from error


def is_closed(connection: socket.socket) -> bool:
    """Whether the other end is gone and everything it sent was read. Waits for nothing, whatever the timeout is."""
    poller = select.poll()
    poller.register(connection, select.POLLIN)
    if not poller.poll(0):
        return False
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True


def size_in(head: bytes) -> int:
    """Bytes of the message behind a head. Raises WireError."""
    (size,) = HEAD.unpack(head)
    if size > MOST_BYTES:
        raise WireError(f"message to the pool of {size} bytes, expected at most {MOST_BYTES}")
    return int(size)


def exactly(connection: socket.socket, size: int) -> bytes:
    """So many bytes. Raises EOFError where the other end is closed before."""
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError("the connection was closed")
        data += part
    return data
