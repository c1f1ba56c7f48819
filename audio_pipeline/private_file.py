"""Small files that are there whole or not at all; private ones are read by their owner alone."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path


def write_private(path: Path, data: bytes) -> None:
    """Puts `data` in place of whatever is at `path`, at once, with mode 0600 from its first moment. Raises OSError."""
    write_whole(path, data, mode=0o600)


def write_whole(path: Path, data: bytes | str, *, mode: int = 0o666, sync: bool = True) -> None:
    """Puts `data` (text as UTF-8) in place of whatever is at `path`, at once. Raises OSError.

    A reader finds the old file or the new one, never half; where the disk is full the old one stays. `mode` is
    subject to the umask. `sync` brings it to the disk first, so that it also outlives a power cut.
    """
    scratch = path.with_name(f".part-{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data.encode("utf-8") if isinstance(data, str) else data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(scratch, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(scratch)
        raise
