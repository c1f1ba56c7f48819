"""Small files, there whole or not at all, private ones for their owner alone, changed by one process at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = ".lock"
PATIENCE_S = 30.0  # a change takes milliseconds; a holder that stands still must not hang whoever waits
LOOK_S = 0.01


def write_private(path: Path, data: bytes) -> None:
    """Puts `data` in place of whatever is at `path`, at once, with mode 0600 from its first moment. Raises OSError."""
    write_whole(path, data, mode=0o600)


def create_private(path: Path, data: bytes) -> None:
    """As `write_private`, but raises FileExistsError where there is anything at `path`."""
    _put(path, data, _link, mode=0o600)


def write_whole(path: Path, data: bytes | str, *, mode: int = 0o666, sync: bool = True) -> None:
    """Puts `data` (text as UTF-8) in place of whatever is at `path`, at once. Raises OSError.

    A reader finds the old file or the new one, never half; where the disk is full the old one stays. `mode` is
    subject to the umask. `sync` brings it to the disk first, so that it also outlives a power cut.
    """
    _put(path, data, os.replace, mode=mode, sync=sync)


@contextmanager
def locked(folder: Path, *, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Alone with the files of a folder among all processes and threads that ask here; made where it is missing.

    Whoever reads, changes and writes reads inside of this. The lock file is never removed: another process may have
    it open. The kernel releases the lock of a process that ends. Raises OSError, TimeoutError after `patience_s`.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _acquire(lock, folder, patience_s)
        yield
    finally:
        os.close(lock)


def _acquire(lock: int, folder: Path, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                said = f"another process has held {folder / LOCK} for {patience_s:g} s"
                raise TimeoutError(errno.ETIMEDOUT, said) from None
            time.sleep(LOOK_S)


def _put(path: Path, data: bytes | str, place: Callable[[Path, Path], None], *, mode: int, sync: bool = True) -> None:
    scratch = path.with_name(f".part-{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data.encode("utf-8") if isinstance(data, str) else data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        place(scratch, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(scratch)
        raise


def _link(scratch: Path, path: Path) -> None:
    """In place only where there is nothing, whoever else is doing the same."""
    os.link(scratch, path)
    os.unlink(scratch)
