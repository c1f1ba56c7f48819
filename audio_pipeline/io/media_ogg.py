"""The links of a chained Ogg file (RFC 3533 section 4): whole streams one behind the other, as radio recordings are."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from audio_pipeline.io.media_file import FilePart

MOST_LINKS = 10_000
SEARCH = 65536
_HEAD = 27 + 255 + 8  # of a page: its fields, its segment table, and what a codec's first packet begins with
_CODECS = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   ", b"\x80theora", b"fishead\0", b"fLaC")


class Link(NamedTuple):
    """Where a link lies in its file, in bytes."""

    start: int
    end: int


def links_of(path: Path) -> list[Link]:
    """The links of an Ogg file in order; none where it is no Ogg file."""
    part = FilePart(path)
    try:
        if part.peek(0, 4) != b"OggS":
            return []
        starts = _starts(part)
    finally:
        part.close()
    return [Link(start, end) for start, end in zip(starts, [*starts[1:], part.end], strict=True)]


def _starts(part: FilePart) -> list[int]:
    """Bytes at which the first page of a link lies: one that begins a stream behind one that does not."""
    starts, at, is_head = [0], 0, True
    while len(starts) < MOST_LINKS:
        page = part.peek(at, _HEAD)
        if len(page) < 27:
            return starts
        if page[:5] != b"OggS\0":
            at = _next_page(part, at)
            continue
        body = 27 + page[26]
        begins = bool(page[5] & 2) and page[body:].startswith(_CODECS)
        if begins and not is_head:
            starts.append(at)
        is_head = begins
        at += body + sum(page[27:body])
    return starts


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
