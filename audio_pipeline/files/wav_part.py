"""Unfinished WAV files: their name until they are closed, their lock, and what they hold so far."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from audio_pipeline.errors import MediaError, PipelineError
from audio_pipeline.files.wav_format import MAX_HEADER_BYTES, MIN_HEADER_BYTES, WavFormat

PART = ".part"


def part_of(path: str | Path) -> Path:
    """The unfinished file's name for a final name."""
    path = Path(path)
    return path if path.name.endswith(PART) else path.with_name(path.name + PART)


def scan(folder: str | Path) -> list[Path]:
    """Unfinished recordings below `folder` that no living process is writing."""
    return [p for p in sorted(Path(folder).rglob("*.wav" + PART)) if not is_in_use(p)]


def is_begun(part: Path) -> bool:
    """True for an unfinished file of this program that has a header: it can be resumed."""
    try:
        with part.open("rb") as file:
            return WavFormat.parse(file.read(MAX_HEADER_BYTES)) is not None
    except OSError:
        return False


def is_taken(part: Path) -> bool:
    """True where something lies under an unfinished file's name that `WavWriter.open` does not take over."""
    return part.exists() and part.stat().st_size >= MIN_HEADER_BYTES


def samples_in(path: Path) -> int:
    """How many samples a file of this program holds by its size, without the byte that makes it even."""
    with path.open("rb") as file:
        fmt = WavFormat.parse(file.read(MAX_HEADER_BYTES))
    return max(path.stat().st_size - fmt.header_bytes, 0) // fmt.frame_bytes if fmt else 0


def is_in_use(part: Path) -> bool:
    """True while a process of this program writes it, and where that cannot be told: it is left alone."""
    try:
        with part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # another's lock; finished this moment; not ours to read
        return True
    return False


def reopen(part: Path) -> tuple[int, WavFormat, int]:
    """An unfinished file, locked, with a torn last sample cut off."""
    try:
        fd = locked(os.open(part, os.O_RDWR), part)
        fmt, size = WavFormat.parse(os.pread(fd, MAX_HEADER_BYTES, 0)), os.fstat(fd).st_size
    except OSError as e:
        raise MediaError(f"{part}: cannot be resumed ({e.strerror})") from e
    if fmt is None:
        os.close(fd)
        raise MediaError(f"{part}: is not an unfinished recording of this program")
    samples = max(0, size - fmt.header_bytes) // fmt.frame_bytes
    os.ftruncate(fd, fmt.header_bytes + samples * fmt.frame_bytes)
    return fd, fmt, samples


def locked(fd: int, part: Path) -> int:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system lets go of it when the process dies
    except BlockingIOError as e:
        os.close(fd)
        raise PipelineError(f"recording {part}: another process is writing it") from e
    except OSError as e:  # a file system without locks
        os.close(fd)
        raise failed(part, e) from e
    return fd


def free_name(path: Path) -> Path:
    taken, number = path, 1
    while path.exists():
        number += 1
        path = taken.with_stem(f"{taken.stem}-{number}")
    return path


def failed(path: Path, e: OSError) -> PipelineError:
    return PipelineError(f"recording {path}: {e.strerror or e}")
