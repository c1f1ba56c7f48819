"""Processes of the host that several pipelines share: found by a lock, started by the first user, gone after the last.

A service has a private folder (0700) below the base of the runtime folders, named by a digest of what its users must
have in common. Whoever holds the lock in it is the service; it publishes where it listens, with a token of its own, in
a private file. The kernel releases the lock with the process, so a dead one is replaced at once and never waited for.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from audio_pipeline.errors import PipelineError
from audio_pipeline.host.lock import LOCK, owner_of
from audio_pipeline.host.processes import here, is_same, started
from audio_pipeline.host.runtime import SERVICES, base_dir
from audio_pipeline.private_file import write_whole

ACCESS, LOG, STATUS = "access", "log", "status"
MOST_ACCESS_BYTES = 4_096
MOST_STATUS_BYTES = 1 << 16
DIGEST = 12
OLD_S = 3_600.0
PACKAGE = Path(__file__).parents[1]
LINGER = "AUDIO_PIPELINE_LINGER_S"  # seconds that a service waits for another user after the last; 0: not at all
LINGER_S, LONGEST_LINGER_S = 30.0, 3_600.0


@dataclass(frozen=True)
class Access:
    """Where a service listens, and the token that it expects."""

    path: str  # of its socket
    token: str


@dataclass(frozen=True)
class Status:
    """What a service holds, who uses it, and how long it stays when nobody does, as it publishes that for people."""

    holds: str = ""
    users: tuple[str, ...] = ()
    linger_s: float = LINGER_S


class Idle:
    """Decides when a service ends: `linger_s` after its last user; `first_s` longer if none has come yet."""

    def __init__(self, linger_s: float, first_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self.linger_s, self._now_s = linger_s, now_s
        self._since_s = now_s() + first_s

    def is_over(self, *, in_use: bool) -> bool:
        """Whether nobody has used it for so long; to be asked again and again."""
        if in_use:
            self._since_s = self._now_s()
        return not in_use and self._now_s() - self._since_s >= self.linger_s


class Service:
    """The folder where the users of one service meet."""

    def __init__(self, name: str, key: Mapping[str, Any]) -> None:
        self.path = services_folder() / f"{name}-{digest(key)}"
        try:
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
            os.utime(self.path)
        except OSError as error:
            raise PipelineError(f"{self.path} cannot be made: {error.strerror or error}") from error
        _sweep(self.path)

    @property
    def log(self) -> Path:
        """What the process prints."""
        return self.path / LOG

    @property
    def is_running(self) -> bool:
        """True while a process holds the lock, ready or not."""
        return is_locked(self.path / LOCK)

    @property
    def owner(self) -> tuple[int, float] | None:
        """Id and start of the process that holds the lock, where it lives in this PID namespace."""
        owner = owner_of(self.path / LOCK)
        return owner if owner is not None and is_same(*owner) else None

    def access(self) -> Access | None:
        """Where it listens; None while it is not ready."""
        try:
            with (self.path / ACCESS).open("rb") as file:
                found = json.loads(file.read(MOST_ACCESS_BYTES))
            return Access(str(found["path"]), str(found["token"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None


def is_locked(path: Path) -> bool:
    """Whether a process holds it. One that has ended and is not collected by its parent holds nothing."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(number)
    return False


def digest(key: Mapping[str, Any]) -> str:
    """Names what the users of a service have in common, and this code: an update starts services of its own."""
    text = json.dumps({**key, "code": code_stamp()}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:DIGEST]


def code_stamp() -> str:
    """Changes with every file of this package."""
    newest = max(path.stat().st_mtime_ns for path in PACKAGE.rglob("*.py"))
    return f"{PACKAGE}:{newest}"


def linger_s() -> float:
    """How long a service outlives its last user, as the environment says it."""
    try:
        return min(max(float(os.environ.get(LINGER, LINGER_S)), 0.0), LONGEST_LINGER_S)
    except ValueError:
        return LINGER_S


def services_folder() -> Path:
    """Where the folders of all services of this user lie, made by the first of them. Raises PipelineError."""
    return base_dir() / SERVICES


def _sweep(folder: Path) -> None:
    """Removes the folders of services that nobody has started for an hour."""
    now_s = folder.stat().st_mtime
    for other in folder.parent.iterdir():
        with contextlib.suppress(OSError):
            if now_s - other.stat().st_mtime > OLD_S and not is_locked(other / LOCK):
                shutil.rmtree(other)


class Tenure:
    """The service's own side of its folder, from the lock to the end of the process."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder, self._number = folder, number
        self.socket = folder / f"s{secrets.token_hex(4)}"
        self.token = secrets.token_hex(16)
        self._shown: Status | None = None

    @classmethod
    def begin(cls, folder: Path) -> Tenure | None:
        """Takes the lock and clears away what a dead predecessor left; None where another process has it."""
        number = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(number)
            return None
        owner = {"pid": os.getpid(), "started": started(os.getpid()), "here": here()}
        os.ftruncate(number, 0)
        os.pwrite(number, json.dumps(owner).encode(), 0)
        for path in (folder / ACCESS, folder / STATUS, *folder.glob("s????????")):
            path.unlink(missing_ok=True)
        return cls(folder, number)

    def publish(self) -> None:
        """It listens. Raises OSError."""
        text = json.dumps(asdict(Access(str(self.socket), self.token)))
        write_whole(self._folder / ACCESS, text, mode=0o600, sync=False)

    def show(self, status: Status) -> None:
        """Publishes what people are to know, where that has changed."""
        if status != self._shown:
            self._shown = status
            with contextlib.suppress(OSError):  # nobody plays less well for it
                write_whole(self._folder / STATUS, json.dumps(asdict(status)), mode=0o600, sync=False)

    @property
    def is_published(self) -> bool:
        """False once the folder or the file in it is gone: nobody can find this process any more."""
        return (self._folder / ACCESS).exists()

    def end(self) -> None:
        """Before the process ends: no new user finds it."""
        with contextlib.suppress(OSError):
            (self._folder / ACCESS).unlink(missing_ok=True)
            (self._folder / STATUS).unlink(missing_ok=True)
            self.socket.unlink(missing_ok=True)
        os.close(self._number)
