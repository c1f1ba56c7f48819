"""Sizes in WAV, W64, CAF and AIFF files that are not true: of a recorder that died, of a copy that broke off."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from audio_pipeline.files.media_file import FilePart

HEAD = 1 << 16
MOST_CHUNKS = 1000
_UNKNOWN = (0, 0xFFFFFFFF, 0x7FFFFFFF, 0xFFFFFFFFFFFFFFFF)
_NAME = re.compile(rb"[A-Za-z0-9 _]{4}")


class Data(NamedTuple):
    """Where the samples begin, and how many bytes of them the header declares (None: it does not)."""

    at: int
    size: int | None


def data_of(part: FilePart) -> Data | None:
    """The chunk of samples; None where it is another kind of file or lies too far behind."""
    head = part.peek(0, HEAD)
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return _riff(head)
    if head[:4] == b"riff" and (at := head.find(b"data\xf3\xac\xd3\x11")) > 0:
        return Data(at + 24, struct.unpack_from("<Q", head, at + 16)[0] - 24)
    if head[:4] == b"caff" and (at := head.find(b"data")) > 0 and at + 16 <= len(head):
        return _known(at + 16, struct.unpack_from(">Q", head, at + 4)[0] - 4)
    if head[:4] == b"FORM" and (at := head.find(b"SSND")) > 0 and at + 16 <= len(head):
        return _known(at + 16, struct.unpack_from(">I", head, at + 4)[0] - 8)
    return None


def _riff(head: bytes) -> Data | None:
    at = 12
    while at + 8 <= len(head):
        name, size = struct.unpack_from("<4sI", head, at)
        if name == b"data":
            big = head[:4] != b"RIFF" and head[12:16] == b"ds64" and size == 0xFFFFFFFF
            return _known(at + 8, struct.unpack_from("<Q", head, 28)[0] if big else size)
        at += 8 + size + size % 2
    return None


def _known(at: int, size: int) -> Data:
    return Data(at, None if size in _UNKNOWN or size < 0 else size)


def mended(part: FilePart) -> dict[int, bytes]:
    """What to read in place of a size in a WAV header that stops short of the samples in the file."""
    data = data_of(part)
    if data is None or data.size is None or part.peek(0, 4) != b"RIFF" or data.at + data.size >= part.size:
        return {}
    return {} if _are_chunks(part, data.at + data.size + data.size % 2) else {data.at - 4: bytes(4)}


def is_empty(part: FilePart) -> bool:
    """Whether a WAV holds no samples, and no more than chunks of something else behind that."""
    if part.peek(0, 4) != b"RIFF" or (data := data_of(part)) is None:
        return False
    return part.peek(data.at - 4, 4) == bytes(4) and (data.at >= part.size or _are_chunks(part, data.at))


def _are_chunks(part: FilePart, at: int) -> bool:
    """Whether what follows is chunks up to the end of the file, or next to nothing."""
    for _ in range(MOST_CHUNKS):
        if part.size - at < 8:
            return True
        name, size = struct.unpack("<4sI", part.peek(at, 8))
        if not _NAME.fullmatch(name) or at + 8 + size > part.size:
            return False
        at += 8 + size + size % 2
    return True


def declared_share(part: FilePart) -> float:
    """How many times as long as the file its header says that it is: more than 1 where it was cut off."""
    data = data_of(part)
    if data is None or data.size is None or part.size <= data.at:
        return 1.0
    return max(data.size / (part.size - data.at), 1.0)
