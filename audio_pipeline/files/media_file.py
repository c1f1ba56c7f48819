"""The bytes of a sound file, or of a part of it, for a decoder."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path

from audio_pipeline.errors import MediaError

Patches = dict[int, bytes]
SEARCHED = 1 << 20  # bytes in which a file that begins with junk is looked through
_MARKS = (b"fLaC\x00\x00\x00\x22", b"OggS\x00\x02", b"RIFF", b"RF64", b"\x1a\x45\xdf\xa3", b"ftyp", b"FORM", b"ID3")


class CancelledError(Exception):
    """Nobody waits for this any more."""


class NotReadError(MediaError):
    """What this reader cannot make sound of; another one may."""


class FilePart:
    """Bytes `start` to `end` of a regular file as a file of its own: FFmpeg sees neither its name nor other files."""

    def __init__(self, path: Path, start: int = 0, end: int | None = None) -> None:
        self.path, self.start = path, start
        self.patches: Patches = {}  # what to read in the file's place, by position in the whole file
        self.is_cancelled: Callable[[], bool] = lambda: False
        self._fd = open_regular(path)
        size = os.fstat(self._fd).st_size
        self.end = size if end is None else min(end, size)
        self._at = 0
        self._error: OSError | None = None

    @property
    def size(self) -> int:
        return max(self.end - self.start, 0)

    def read(self, n: int = -1) -> bytes:
        """Up to `n` bytes; none where that failed or nobody wants them any more, which `check` tells.

        FFmpeg reads on after an error, and PyAV then writes each one to the terminal.
        """
        if self.is_cancelled() or self._error is not None:
            return b""
        left = max(self.size - self._at, 0)
        try:
            data = os.pread(self._fd, left if n < 0 else min(n, left), self.start + self._at)
        except OSError as e:
            self._error = e
            return b""
        self._at += len(data)
        return self._patched(data, self.start + self._at - len(data)) if self.patches else data

    def check(self) -> None:
        """Raises what a read could not."""
        if self.is_cancelled():
            raise CancelledError
        if self._error is not None:
            raise self._error

    def _patched(self, data: bytes, start: int) -> bytes:
        out, end = bytearray(data), start + len(data)
        for at, patch in self.patches.items():
            if at < end and start < at + len(patch):
                begin, stop = max(at, start), min(at + len(patch), end)
                out[begin - start : stop - start] = patch[begin - at : stop - at]
        return bytes(out)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, "a position ahead of the file")
        self._at = base + offset
        return self._at

    def peek(self, at: int, n: int) -> bytes:
        """Up to `n` bytes from `at` on; where the next `read` starts stays as it is."""
        return os.pread(self._fd, max(min(n, self.size - at), 0), self.start + at)

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            self.close()


def open_regular(path: Path) -> int:
    """A descriptor of a file that is neither a folder nor a pipe nor a device, and not empty. Raises MediaError."""
    try:
        _check_kind(path, os.stat(path))
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # should a pipe have taken its place meanwhile
    except OSError as e:
        raise MediaError(f"{path}: cannot be opened ({e.strerror})") from e
    except ValueError as e:
        raise MediaError(f"{str(path)!r}: is no name of a file ({e})") from e
    try:
        found = os.fstat(fd)
        _check_kind(path, found)
        if not found.st_size:
            raise MediaError(f"{path}: is empty")
    except MediaError:
        os.close(fd)
        raise
    return fd


def _check_kind(path: Path, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise MediaError(f"{path}: is a folder, expected a sound file")
    if not stat.S_ISREG(found.st_mode):
        raise MediaError(f"{path}: is not a regular file")


def behind_junk(path: Path) -> list[int]:
    """Where in the first megabyte something begins that looks like a sound file, apart from its start; at most 8."""
    part = FilePart(path)
    try:
        head = part.read(SEARCHED)
    finally:
        part.close()
    found = set()
    for mark in _MARKS:
        at = head.find(mark, 1)
        if at > 0:
            found.add(at - 4 if mark == b"ftyp" else at)
    return sorted(at for at in found if at > 0)[:8]
