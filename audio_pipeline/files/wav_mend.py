"""WAV files of any writer whose header does not say how long they are: found, and mended from the file's length.

RIFF, RF64 and WAVE_FORMAT_EXTENSIBLE; PCM, float, A-law and µ-law. Sound is never changed: what is written is the
sizes in the header, at once, and half a sample at the end goes.
"""

from __future__ import annotations

import enum
import os
import secrets
import shutil
import struct
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from audio_pipeline.errors import MediaError

U32 = 0xFFFFFFFF
MAX_CHUNKS = 1_000
MAX_HEADER_BYTES = 16 << 20
EXTENSIBLE = 0xFFFE
ENCODINGS = {1: "PCM", 3: "float", 6: "A-law", 7: "µ-law"}
DS64 = struct.Struct("<QQQI")
DS64_BYTES = DS64.size


class State(str, enum.Enum):
    """What a header says of its file."""

    WHOLE = "whole"
    NO_SIZE = "its header has no size"  # its writer died, or wrote to a pipe
    BEHIND = "its header states less than the file contains"
    CUT = "cut short"  # it says more than there is


class Wav(NamedTuple):
    """A file as it lies there; `samples` are those that it holds, whatever the header says."""

    path: Path
    state: State
    rate: int
    channels: int
    bits: int
    encoding: str
    samples: int
    block: int
    data_at: int
    end: int  # of the file
    fact_at: int  # where the chunk `fact` has its number of samples, 0 for no such chunk
    spare_at: int  # where a `ds64` is, or has room, behind its own 8 bytes; 0 for no room
    is_64: bool

    @property
    def seconds(self) -> float:
        return self.samples / self.rate


def inspect_wav(path: Path) -> Wav:
    """What a file holds. Raises MediaError for one that is no WAV, or none whose samples have one size."""
    try:
        with path.open("rb") as file:
            return _Reader(path, file, os.fstat(file.fileno()).st_size).read()
    except OSError as error:
        raise MediaError(f"{path}: {error.strerror or error}") from error
    except struct.error as error:
        raise MediaError(f"{path}: ends inside its header") from error


class _Reader:
    def __init__(self, path: Path, file: BinaryIO, end: int) -> None:
        self.path, self.file, self.end = path, file, end
        self.fmt: tuple[int, int, int, int, int] | None = None  # tag, channels, rate, block, bits
        self.fact_at = self.spare_at = self.data64 = 0

    def read(self) -> Wav:
        riff, _, wave = self._unpack("<4sI4s", 0)
        if riff not in (b"RIFF", b"RF64") or wave != b"WAVE":
            raise MediaError(f"{self.path}: is no WAV file")
        data_at, size = self._walk()
        if self.fmt is None or self.fmt[0] not in ENCODINGS or not all(self.fmt[1:4]):
            raise MediaError(f"{self.path}: holds no PCM, float, A-law or µ-law sound")
        tag, channels, rate, block, bits = self.fmt
        if riff == b"RF64" and size == U32:
            size = self.data64
        state, held = self._judge(data_at, size)
        return Wav(
            self.path,
            state,
            rate,
            channels,
            bits,
            ENCODINGS[tag],
            held // block,
            block,
            data_at,
            self.end,
            self.fact_at,
            self.spare_at,
            riff == b"RF64",
        )

    def _unpack(self, form: str, at: int) -> tuple[bytes, int, bytes]:
        self.file.seek(at)
        first, number, *rest = struct.unpack(form, self.file.read(struct.calcsize(form)))
        return first, number, rest[0] if rest else b""

    def _walk(self) -> tuple[int, int]:
        """Through the chunks up to the sound: where it begins, and how long the header says it is."""
        at = 12
        for _ in range(MAX_CHUNKS):
            name, size, _ = self._unpack("<4sI", at)
            if name == b"data":
                return at + 8, size
            self._note(name, size, at + 8)
            at += 8 + size + size % 2
            if at > min(self.end, MAX_HEADER_BYTES):
                break
        raise MediaError(f"{self.path}: has no sound behind its header")

    def _note(self, name: bytes, size: int, at: int) -> None:
        if name == b"fmt " and size >= 16:
            self.file.seek(at)
            tag, channels, rate, _, block, bits = struct.unpack("<HHIIHH", self.file.read(16))
            if tag == EXTENSIBLE and size >= 40:
                self.file.seek(at + 24)
                (tag,) = struct.unpack("<H", self.file.read(2))
            self.fmt = tag, channels, rate, block, bits
        elif name == b"fact" and size >= 4:
            self.fact_at = at
        elif name in (b"ds64", b"JUNK") and size >= DS64_BYTES and at == 20:
            self.spare_at = at
            if name == b"ds64":
                self.file.seek(at + 8)
                (self.data64,) = struct.unpack("<Q", self.file.read(8))

    def _judge(self, data_at: int, size: int) -> tuple[State, int]:
        """What the header's word is worth, and how many bytes of sound there are."""
        there = self.end - data_at
        if size == there or (size < there and self._are_chunks(data_at + size + size % 2)):
            return State.WHOLE, size
        if size in (0, U32):
            return State.NO_SIZE, there
        if size > there:
            return State.CUT, there
        return (State.BEHIND, there) if self.spare_at and data_at <= 92 else (State.WHOLE, size)

    def _are_chunks(self, at: int) -> bool:
        """Whether chunks, and nothing else, lie from there to the end."""
        for _ in range(MAX_CHUNKS):
            if at in (self.end, self.end + 1):
                return True
            if at + 8 > self.end:
                return False
            name, size, _ = self._unpack("<4sI", at)
            if not name.isalnum() and not name.strip().isalnum():
                return False
            at += 8 + size + size % 2
        return False


def mend(wav: Wav) -> Wav:
    """Gives a file the sizes that it has. A death in between leaves the old header or the new one.

    Raises MediaError where it cannot be written.
    """
    size = wav.samples * wav.block
    riff = wav.data_at - 8 + size + size % 2
    try:
        if (riff > U32 or wav.is_64) and not wav.spare_at:
            _copy_with_space(wav, size)
        else:
            _patch(wav, size, riff)
    except OSError as error:
        raise MediaError(f"{wav.path}: cannot be repaired ({error.strerror or error})") from error
    return inspect_wav(wav.path)


def _patch(wav: Wav, size: int, riff: int) -> None:
    fd = os.open(wav.path, os.O_RDWR)
    try:
        os.pwrite(fd, _header(os.pread(fd, wav.data_at, 0), wav, size, riff), 0)
        os.fsync(fd)
        os.ftruncate(fd, wav.data_at + size + size % 2)
    finally:
        os.close(fd)


def _header(old: bytes, wav: Wav, size: int, riff: int) -> bytes:
    head, big = bytearray(old), wav.is_64 or riff > U32
    head[:8] = struct.pack("<4sI", b"RF64" if big else b"RIFF", U32 if big else riff)
    head[-4:] = struct.pack("<I", U32 if big else size)
    if wav.fact_at:
        struct.pack_into("<I", head, wav.fact_at, min(wav.samples, U32))
    if big:
        head[wav.spare_at - 8 : wav.spare_at - 4] = b"ds64"
        DS64.pack_into(head, wav.spare_at, riff, size, wav.samples, 0)
    return bytes(head)


def _copy_with_space(wav: Wav, size: int) -> None:
    """A file beyond 4 GiB whose header has no room for its sizes gets one beside it, then its place."""
    reserved = struct.pack("<4sI", b"JUNK", DS64_BYTES) + bytes(DS64_BYTES)
    scratch = wav.path.with_name(f".part-{secrets.token_hex(8)}")
    try:
        with wav.path.open("rb") as old, scratch.open("xb") as new:
            head = old.read(12) + reserved + old.read(wav.data_at - 12)
            fact_at = wav.fact_at + len(reserved) if wav.fact_at else 0
            moved = wav._replace(data_at=len(head), spare_at=20, fact_at=fact_at)
            new.write(_header(head, moved, size, len(head) - 8 + size + size % 2))
            shutil.copyfileobj(old, new, 1 << 20)
            new.truncate(len(head) + size + size % 2)
            new.flush()
            os.fsync(new.fileno())
        shutil.copymode(wav.path, scratch)
        os.replace(scratch, wav.path)
    except BaseException:
        with suppress(OSError):
            scratch.unlink()
        raise
