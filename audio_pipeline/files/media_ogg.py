"""Ogg, page by page (RFC 3533): the links of a chained file, and pages mended so that a decoder takes the rest of them.

A radio recording is a chain of whole streams, one behind the other. A decoder throws a page away, and with it up to a
second of sound, where one bit of it is wrong: with a new checksum it loses the damaged packet alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from audio_pipeline.files.media_file import FilePart

MOST_LINKS = 10_000
MOST_MENDED = 10_000
MOST_FALSE = 10_000  # pages that end where no page follows: each costs a look at 64 kB
SEARCH = 65536
_CODECS = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   ", b"\x80theora", b"fishead\0", b"fLaC")
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Page(NamedTuple):
    """A page where its header says that it lies."""

    at: int
    data: bytes
    is_whole: bool  # the next page follows where it ends, or nothing

    @property
    def flags(self) -> int:
        return self.data[5]

    @property
    def serial(self) -> bytes:
        return self.data[14:18]

    @property
    def begins(self) -> bool:
        """Whether a stream begins here: a flag alone may be damage."""
        return bool(self.flags & _FIRST) and self.data[27 + self.data[26] :].startswith(_CODECS)


@dataclass
class Survey:
    """What lies in a file: where each link starts and ends, and what is wrong with its pages."""

    links: list[tuple[int, int]] = field(default_factory=list)
    patches: dict[int, bytes] = field(default_factory=dict)
    damaged: int = 0
    is_cut: bool = False  # its last page is not there, or is not the last


def survey(path: Path) -> Survey:
    """Goes through all pages of an Ogg file; without a link where it is none."""
    part = FilePart(path)
    try:
        if part.peek(0, 4) != b"OggS":
            return Survey()
        found, starts = Survey(), [0]
        serials: set[bytes] = set()
        is_head, last = True, 0
        for page in _pages(part):
            if page.begins and not is_head and len(starts) < MOST_LINKS:
                starts.append(page.at)
                serials = set()
            is_head = page.begins
            serials |= {page.serial} if page.begins else set()
            _mend(page, serials, found)
            last = page.flags & _LAST and page.is_whole
        found.links = list(zip(starts, [*starts[1:], part.size], strict=True))
        found.is_cut = not last
        return found
    finally:
        part.close()


def _pages(part: FilePart) -> Iterator[Page]:
    at = false = 0
    while false < MOST_FALSE and len(head := part.peek(at, 27 + 255)) >= 27:
        if head[:5] != b"OggS\0":
            at = _next_page(part, at)
            continue
        size = 27 + head[26] + sum(head[27 : 27 + head[26]])
        data = head[:size] if size <= len(head) else part.peek(at, size)
        ends = at + size == part.size or part.peek(at + size, 5) == b"OggS\0"
        yield Page(at, data, ends)
        at, false = (at + size, false) if ends else (_next_page(part, at), false + 1)


def _mend(page: Page, serials: set[bytes], found: Survey) -> None:
    """Notes a damaged page; one that the next page, or the end, follows in its place gets a checksum that fits."""
    wanted = checksum(page.data)
    if page.data[22:26] == wanted:
        return
    found.damaged += 1
    if not page.is_whole or len(found.patches) >= MOST_MENDED:
        return
    header = bytearray(page.data[:27])
    if not page.begins:
        header[5] &= ~_FIRST
        if len(serials) == 1 and page.serial not in serials:
            header[14:18] = next(iter(serials))
    header[22:26] = checksum(bytes(header) + page.data[27:])
    found.patches[page.at] = bytes(header)


def _next_page(part: FilePart, at: int) -> int:
    """The next place behind `at` that looks like a page, else the end."""
    at += 1
    while data := part.peek(at, SEARCH):
        found = data.find(b"OggS\0")
        if found >= 0:
            return at + found
        if len(data) < SEARCH:
            break
        at += SEARCH - 4
    return part.size


def checksum(page: bytes) -> bytes:
    """The CRC-32 of a page with its field for it at 0: polynomial 0x04c11db7, not reflected, begun with 0.

    zlib's is the same one reflected and begun with ones, so bits are turned around on the way in and out.

    >>> checksum(b"OggS" + bytes(23)).hex()
    '11a5a19e'
    """
    blank = page[:22] + bytes(4) + page[26:]
    turned = zlib.crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{turned:032b}"[::-1], 2).to_bytes(4, "little")
