"""Where the web process hands over connections: a descriptor and what is known of it, in one message (SCM_RIGHTS)."""

from __future__ import annotations

import array
import contextlib
import errno
import os
import selectors
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Protocol, cast

import msgspec

from audio_pipeline.errors import WireError

NAME = "media.sock"
MAX_BYTES = 1 << 16
TIMEOUT_S = 1.0
A_TURN = 16  # messages
MOST_GIVERS = 16
MOST_FILES = 4  # descriptors in a message, of which one is expected
Short = Annotated[str, msgspec.Meta(max_length=64)]


class HasFileno(Protocol):
    """A connection, as its own socket or as what an event loop shows of it."""

    def fileno(self) -> int:
        """Its descriptor."""


class Handed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A connection that was let in: the head of its request, whose it is, and the pipeline that it is for."""

    v: Literal[1]
    request: Annotated[bytes, msgspec.Meta(max_length=1 << 15)]
    session: Short
    run: Annotated[str, msgspec.Meta(max_length=1_000)]
    name: Short
    role: Literal["listen", "play", "control"]
    via: Literal["handover", "pump"] = "handover"
    ports: Annotated[tuple[str, ...], msgspec.Meta(max_length=256)] = ()  # outputs that its config has
    lease: Annotated[str, msgspec.Meta(max_length=1_000)] = ""  # file to renew while it has a stream


class Drain(msgspec.Struct, frozen=True):
    """Tells clients, of one session or of all, that they will have to go."""

    v: Literal[1]
    leaving_in_s: Annotated[float, msgspec.Meta(ge=0, le=3_600)]
    session: Short | None = None


class Ended(msgspec.Struct, frozen=True):
    """A session has ended: its connections are closed."""

    v: Literal[1]
    ended: Short


@dataclass(frozen=True)
class Arrival:
    """A connection with its descriptor, which is now ours to close."""

    handed: Handed
    socket: socket.socket


Order = Arrival | Drain | Ended


def read(body: bytes) -> Handed | Drain | Ended:
    """A message of the web process. Raises WireError."""
    try:
        fields = msgspec.msgpack.decode(body)
        kind = Drain if "leaving_in_s" in fields else Ended if "ended" in fields else Handed
        return cast("Handed | Drain | Ended", msgspec.convert(fields, kind))
    except (msgspec.DecodeError, RecursionError, TypeError) as error:
        raise WireError(f"handover message cannot be read: {str(error)[:200]}") from error


def hand_over(folder: Path, client: HasFileno, handed: Handed, timeout_s: float = TIMEOUT_S) -> None:
    """Gives a connection to the media process of a service; the caller closes its own copy. Raises OSError."""
    _send(folder, handed, [client.fileno()], timeout_s)


def order(folder: Path, message: Drain | Ended) -> None:
    """Tells the media process of a service something. Raises OSError."""
    _send(folder, message, [], TIMEOUT_S)


def _send(folder: Path, message: Handed | Drain | Ended, files: list[int], timeout_s: float) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as giver:
        giver.settimeout(timeout_s)
        giver.connect(str(folder / NAME))
        socket.send_fds(giver, [msgspec.msgpack.encode(message)], files)


class Handover:
    """Listens in the service's folder. One thread."""

    def __init__(self, folder: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._listener = _bound(folder / NAME)
        self._givers: set[socket.socket] = set()
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)

    def fileno(self) -> int:
        """Readable where something waits."""
        assert isinstance(self._selector, selectors.EpollSelector)
        return self._selector.fileno()

    def serve(self, take: Callable[[Order], None]) -> None:
        """Takes a turn's share of what waits."""
        for key, _ in self._selector.select(0)[:A_TURN]:
            if key.fileobj is self._listener:
                self._accept()
            else:
                self._receive(key.fileobj, take)  # type: ignore[arg-type]

    def _accept(self) -> None:
        try:
            giver, _ = self._listener.accept()
        except OSError as error:
            self.counts["handover_failed"] += 1
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._turn_away()
            return
        if len(self._givers) >= MOST_GIVERS:
            giver.close()
            return
        giver.setblocking(False)
        self._givers.add(giver)
        self._selector.register(giver, selectors.EVENT_READ)

    def _turn_away(self) -> None:
        """Where no descriptor is left: closes the one that waits, which would wake us again and again."""
        if self._spare >= 0:
            os.close(self._spare)
        with contextlib.suppress(OSError):
            self._listener.accept()[0].close()
        try:
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._spare = -1

    def _receive(self, giver: socket.socket, take: Callable[[Order], None]) -> None:
        try:
            body, files, cut = _received(giver)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            body, files, cut = b"", [], False
        if not body:
            self._selector.unregister(giver)
            self._givers.discard(giver)
            giver.close()
            return
        try:
            if cut:
                raise WireError("handover message was cut")
            message = read(body)
            if isinstance(message, Handed) and len(files) != 1:
                raise WireError(f"handover message with {len(files)} descriptors, expected 1")
        except WireError:
            self.counts["handover_bad"] += 1
            _close(files)
            return
        if isinstance(message, Handed):
            take(Arrival(message, socket.socket(fileno=files[0])))
        else:
            _close(files)
            take(message)

    def close(self) -> None:
        """Lets go of everything but the file, which a successor may have bound already."""
        for giver in self._givers:
            giver.close()
        self._listener.close()
        self._selector.close()
        if self._spare >= 0:
            os.close(self._spare)


def _bound(path: Path) -> socket.socket:
    """Takes the place of whoever was bound there before."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mine = path.with_name(f".{NAME}-{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        mine.unlink()
    try:
        made.setblocking(False)
        made.bind(str(mine))
        mine.chmod(0o600)
        made.listen(MOST_GIVERS)
        os.replace(mine, path)
    except OSError:
        made.close()
        raise
    return made


def _received(giver: socket.socket) -> tuple[bytes, list[int], bool]:
    """The body, the descriptors that came with it, and whether something was cut off."""
    files = array.array("i")
    body, extra, flags, _ = giver.recvmsg(MAX_BYTES, socket.CMSG_SPACE(MOST_FILES * files.itemsize), _CLOEXEC)
    for level, kind, data in extra:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            files.frombytes(data[: len(data) - len(data) % files.itemsize])
    return body, list(files), bool(flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC))


_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def _close(files: list[int]) -> None:
    for file in files:
        with contextlib.suppress(OSError):
            os.close(file)
