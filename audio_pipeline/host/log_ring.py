"""Logs of processes that keep their last 256 KiB, whoever writes and whether or not anybody reads.

A process and all that inherits its descriptor append to a plain file: nothing can block them, and what they wrote
last is there after a crash. From outside, the room of what is old is given back as a hole, so the places of lines in
the file stay what they are.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

RING = 256 * 1024
KEEP = RING * 3 // 4
PAGE = 4096
KEEP_SIZE, PUNCH_HOLE = 1, 2  # of fallocate(2)


def trim(path: Path) -> None:
    """Gives back what is older than the ring, where it has grown beyond it. Raises nothing."""
    with contextlib.suppress(OSError):
        if os.stat(path).st_blocks * 512 <= RING:
            return
        number = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            end = (os.fstat(number).st_size - KEEP) // PAGE * PAGE
            if end > 0 and not _punch(number, end):
                _begin_anew(number)
        finally:
            os.close(number)


def _punch(number: int, end: int) -> bool:
    """True where the file system knows holes."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
    if call is None:
        return False
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return int(call(number, KEEP_SIZE | PUNCH_HOLE, 0, end)) == 0


def _begin_anew(number: int) -> None:
    """Without holes: the last lines are written again into an empty file. What comes meanwhile may be lost."""
    last = os.pread(number, KEEP, max(os.fstat(number).st_size - KEEP, 0))
    os.ftruncate(number, 0)
    os.write(number, last[last.find(b"\n") + 1 :])


def read_from(path: Path, at: int) -> tuple[bytes, int]:
    """What the ring holds from byte `at` on, whole lines where older ones are gone, and where that begins."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            at = at if at <= size else 0  # it was begun anew
            start = max(at, size - RING)
            file.seek(start)
            data = file.read(RING)
    except OSError:
        return b"", at
    whole = data.lstrip(b"\0")
    if start > at or len(whole) < len(data):  # in the middle of a line
        whole = whole[whole.find(b"\n") + 1 :]
    return whole, start + len(data) - len(whole)


def last_lines(path: Path, count: int) -> list[str]:
    """The end of a log."""
    return read_from(path, 0)[0].decode(errors="replace").splitlines()[-count:]
