"""Folders in which weights are fetched and converted: private, held by a lock, removed also after a kill."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MARK = ".fetch-"
TRIES = 5


@contextmanager
def folder(cache: Path, name: str) -> Iterator[Path]:
    """A new folder in `cache` for the asset `name`, gone at the end. Raises OSError."""
    path, lock = _make(cache, name)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _make(cache: Path, name: str) -> tuple[Path, int]:
    """A folder and the descriptor that holds its lock; anew where a sweep came between the two."""
    for _ in range(TRIES):
        path = Path(tempfile.mkdtemp(prefix=f"{MARK}{name}-", dir=cache))
        lock = _open(path)
        if lock is not None:
            with suppress(OSError):  # a file system without locks: nobody sweeps there
                fcntl.flock(lock, fcntl.LOCK_EX)
            if path.is_dir():
                return path, lock
            os.close(lock)
    raise OSError(f"a folder in {cache} was removed {TRIES} times while it was made")


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None


def sweep(cache: Path) -> None:
    """Removes what killed fetches left: folders whose lock nobody holds."""
    for path in cache.glob(f"{MARK}*"):
        lock = _open(path)
        if lock is None:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            pass  # another fetch is at work there, or this file system has no locks
        finally:
            os.close(lock)
