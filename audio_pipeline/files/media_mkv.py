"""Matroska and WebM behind damage: the next block that can be read, and a Void element over what lies ahead of it.

FFmpeg goes on with the next cluster, and a whole short file is one cluster. Elements are those of RFC 9559.
"""

from __future__ import annotations

import re

from audio_pipeline.files.media_file import FilePart, Patches

SEARCH = 1 << 16
MOST_SEARCHED = 1 << 26  # bytes that damage may be long
_SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK, _VOID = b"\xa3", b"\xa0", b"\xa1", b"\xec"
_FOLLOWING = (
    _SIMPLE_BLOCK,
    _BLOCK_GROUP,
    _VOID,
    b"\xab",
    b"\xa7",
    b"\x1f\x43\xb6\x75",
    b"\x1c\x53\xbb\x6b",
    b"\x12\x54\xc3\x67",
    b"\x11\x4d\x9b\x74",
    b"\x19\x41\xa4\x69",
    b"\x10\x43\xa7\x70",
    b"\x15\x49\xa9\x66",
    b"\x16\x54\xae\x6b",
)
# A block of a track below 127: identifier, size in one to three bytes, track, time within the cluster, flags.
_CANDIDATE = re.compile(rb"[\xa3\xa0](?:[\x88-\xfe]|[\x40-\x7f].|[\x20-\x3f]..)[\x81-\xfe\xa1]", re.DOTALL)
CHAIN = 3  # elements in a row that have to fit


def end_of_block(part: FilePart, at: int) -> int:
    """Where the block ends whose content begins at `at`; `at` itself where none does."""
    head = part.peek(max(at - 5, 0), 5)
    for length in range(1, 5):
        if head[-1 - length : len(head) - length] in (_SIMPLE_BLOCK, _BLOCK):
            size = _size(head[-length:])
            if size is not None and size[1] == length:
                return at + size[0]
    return at


def void_over(part: FilePart, start: int) -> tuple[int, Patches] | None:
    """The next block behind damage at `start` as a position, and a patch that skips the bytes ahead of it."""
    if _fits(part, start, CHAIN):
        return None
    at = start + 2
    while at - start < MOST_SEARCHED and (data := part.peek(at, SEARCH + 4)):
        for found in _CANDIDATE.finditer(data, 0, SEARCH):
            if _fits(part, at + found.start(), CHAIN):
                end = at + found.start()
                return end, {part.start + start: _void(end - start)}
        at += SEARCH
    return None


def _fits(part: FilePart, at: int, chain: int) -> bool:
    """Whether an element lies here, and `chain` - 1 more behind it, or the end."""
    head = part.peek(at, 16)
    if not head:
        return at == part.size
    identifier = next((known for known in _FOLLOWING if head.startswith(known)), None)
    if identifier is None:
        return False
    size = _size(head[len(identifier) :])
    if size is None:
        return False
    end = at + len(identifier) + size[1] + size[0]
    if len(identifier) > 1:
        return True  # one of the upper level, whose identifiers are long enough to be no chance
    return end <= part.size and (chain <= 1 or _fits(part, end, chain - 1))


def _size(data: bytes) -> tuple[int, int] | None:
    """A size as EBML has it (RFC 8794 section 4), and how many bytes it takes."""
    if not data or not data[0]:
        return None
    length = 9 - data[0].bit_length()
    if len(data) < length:
        return None
    return int.from_bytes(data[:length], "big") & ((1 << 7 * length) - 1), length


def _void(length: int) -> bytes:
    """The head of an element of `length` bytes that holds nothing."""
    if length <= 128:
        return _VOID + bytes([0x80 | (length - 2)])
    return _VOID + ((1 << 56) | (length - 9)).to_bytes(8, "big")
