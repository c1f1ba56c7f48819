"""Who lives holds a lock: `flock` on a folder and on the file `lock` in it, for as long as the process lives.

The kernel lets go of it with the process, and it is seen from every container that mounts the folder. The lock on the
folder itself also keeps `systemd-tmpfiles` out of it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import tempfile
from pathlib import Path

from audio_pipeline.errors import PipelineError
from audio_pipeline.host.processes import here, is_same, started

LOCK = "lock"
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF)


class Hold:
    """Locks a folder that belongs to this process. Raises PipelineError where its file system has no locks."""

    def __init__(self, folder: Path) -> None:
        number, scratch = tempfile.mkstemp(dir=folder, prefix=".lock-")
        self._numbers = [number]
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            owner = {"pid": os.getpid(), "started": started(os.getpid()), "here": here()}
            os.write(number, json.dumps(owner).encode())
            os.replace(scratch, folder / LOCK)
        except OSError as error:
            self.close()
            os.unlink(scratch)
            raise _refusal(folder, error) from error
        self.hold_folder(folder)

    def hold_folder(self, folder: Path) -> None:
        """Locks the folder as well, where nobody has that lock yet: a predecessor of this one keeps it until closed."""
        with contextlib.suppress(OSError):  # some file systems lock files but no folders
            number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._numbers.append(number)
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def is_at(self, folder: Path) -> bool:
        """True while the file in the folder is the one that is locked here."""
        try:
            there, mine = os.stat(folder / LOCK, follow_symlinks=False), os.fstat(self._numbers[0])
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def close(self) -> None:
        while self._numbers:
            os.close(self._numbers.pop())


def _refusal(folder: Path, error: OSError) -> PipelineError:
    if error.errno in NO_LOCKS:
        return PipelineError(
            f"{folder.parent} is on a file system without locks ({error.strerror}); "
            "set XDG_RUNTIME_DIR to a folder on a local one"
        )
    return PipelineError(f"{folder / LOCK} cannot be locked: {error.strerror or error}")


def is_held(folder: Path) -> bool:
    """True while the folder's owner lives, in whatever PID namespace, or where that is unknown."""
    return not (_is_free(folder) and _is_free(folder / LOCK)) or _owner_lives(folder / LOCK)


def _is_free(path: Path) -> bool:
    """True where a shared lock could be had, so that nobody holds the exclusive one, or where there is nothing."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return True
    except OSError as error:
        return path.name != LOCK and error.errno in NO_LOCKS  # for such a folder the lock on its file counts
    finally:
        os.close(number)


def owner_of(lock: Path) -> tuple[int, float] | None:
    """Id and start of the process that made a lock, where it was made in this PID namespace."""
    try:
        content = json.loads(lock.read_bytes()[:4096])
        if content.get("here", here()) != here():
            return None
        return int(content["pid"]), float(content["started"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _owner_lives(lock: Path) -> bool:
    """True while the process lives that the file names: one of an earlier version, which held no lock."""
    owner = owner_of(lock)
    return owner is not None and is_same(*owner)
