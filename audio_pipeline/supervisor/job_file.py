"""A job on its way to a process: a private file, and its path on the standard input of the process.

A pipe holds 64 KiB, so a larger job would block the supervisor until the process reads. A path always fits.
"""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path

HEAD = struct.Struct("<I")
MOST_PATH_BYTES = 4_000  # with its length below PIPE_BUF, so it is written at once


def write_job(path: Path, data: bytes) -> bytes:
    """Writes a job to a new file with mode 0600; returns the message for standard input. Raises OSError."""
    name = os.fsencode(path)
    if len(name) > MOST_PATH_BYTES:
        raise OSError(f"the path of a job has {len(name)} bytes, expected at most {MOST_PATH_BYTES}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(data)
    except OSError:
        remove_job(path)
        raise
    return HEAD.pack(len(name)) + name


def remove_job(path: Path) -> None:
    """Takes a job away that nobody will read."""
    with contextlib.suppress(OSError):
        path.unlink()
