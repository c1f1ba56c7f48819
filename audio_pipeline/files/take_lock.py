"""One run at a time records into a folder: a lock that the system lets go of when its holders die.

The file names the run. Recorders of the same run share the folder; anybody else is refused in one sentence.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from audio_pipeline.errors import PipelineError

LOCK = ".take.lock"
TRIES = 50  # others hold it alone for microseconds, while they write their name
MAX_NAME_BYTES = 200


class TakeLock:
    """Held from `take` to `release`, or until the process ends."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path, self._fd = path, fd

    @classmethod
    def take(cls, folder: Path, run: str) -> TakeLock:
        """Raises PipelineError where another run holds the folder, or where it cannot be written."""
        path = folder / LOCK
        try:
            for _ in range(TRIES):
                fd = _join(path, run.encode()[:MAX_NAME_BYTES])
                if fd is not None:
                    return cls(path, fd)
        except OSError as error:
            raise PipelineError(f"recording folder {folder}: {error.strerror or error}") from error
        raise PipelineError(f"recording folder {folder}: another run records there; expected a folder of its own")

    def release(self) -> None:
        """Lets go; the last one that holds it takes the file away."""
        if self._fd < 0:
            return
        with suppress(OSError):  # somebody else holds it as well, or the folder is gone
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._path.unlink()
        os.close(self._fd)
        self._fd = -1


def _join(path: Path, run: bytes) -> int | None:
    """The lock, alone or with others of the same run; None where it is not to be had at this moment."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if _flock(fd, fcntl.LOCK_EX):
            os.ftruncate(fd, 0)
            os.pwrite(fd, run, 0)
        if _flock(fd, fcntl.LOCK_SH) and os.pread(fd, MAX_NAME_BYTES, 0) == run and _is_at(fd, path):
            return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _flock(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(fd: int, path: Path) -> bool:
    """False where the last holder has just taken the file away."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps every run away from a folder meanwhile. Raises PipelineError where one records there."""
    lock = TakeLock.take(folder, f"repair {secrets.token_hex(8)}")
    try:
        yield
    finally:
        lock.release()


def is_recorded(folder: Path) -> bool:
    """True while a run holds the folder."""
    try:
        fd = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _flock(fd, fcntl.LOCK_EX)
    finally:
        os.close(fd)


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """One after the other, for recorders of one run that change a file of the folder they share."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks on folders, as NFS: there is mostly one recorder
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
