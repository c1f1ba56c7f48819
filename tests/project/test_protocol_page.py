"""The protocol's page says what the code does: layouts, flags, limits, operations and keys are read off both."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from audio_pipeline.control.notices import NOTICES
from audio_pipeline.control.page import with_tables
from audio_pipeline.frame import MAX_CHANNELS, MAX_SAMPLES, Flag, Format
from audio_pipeline.frame_codec import HEADER, MAX_EVENT_BYTES, MAX_SOURCES
from audio_pipeline.histogram import BINS, STEP
from audio_pipeline.links import limits
from audio_pipeline.metrics import NAME_BYTES, SLOTS
from audio_pipeline.worker.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
SIZES = {"bytes": "4s", "u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i64": "q"}


def spaced(number: int) -> str:
    """As the page writes numbers: 65 536."""
    return f"{number:,}".replace(",", " ")


def rows(heading: str, columns: int) -> list[list[str]]:
    """The cells of the first table after a heading."""
    after = PAGE[PAGE.index(heading) :]
    table = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    assert table is not None
    cells = [[cell.strip() for cell in line.strip("|\n ").split("|")] for line in table.group().splitlines()[2:]]
    return [row for row in cells if len(row) >= columns]


def test_the_header_is_laid_out_as_the_page_says() -> None:
    fixed = [row for row in rows("## Frames", 5) if int(row[0]) < HEADER.size]
    assert struct.Struct("<" + "".join(SIZES[row[2]] for row in fixed)).format == HEADER.format
    at = 0
    for offset, size, kind, *_ in fixed:
        assert (int(offset), int(size)) == (at, struct.calcsize("<" + SIZES[kind]))
        at += int(size)
    assert at == HEADER.size == 64


def test_flags_and_formats_are_those_of_the_page() -> None:
    table = rows("| flag | value | meaning |", 3)
    assert {name: int(value) for name, value, _ in table} == {flag.name: int(flag) for flag in Flag if flag}
    formats = re.search(r"\| format \| (.*?) \|", PAGE)
    assert formats is not None
    assert {int(number) for number in re.findall(r"(\d+) =", formats.group(1))} == {int(code) for code in Format}


@pytest.mark.parametrize(
    "said",
    [
        f"1 to {MAX_CHANNELS}; 0 in events",
        f"at most {spaced(MAX_SAMPLES)}; 0 in events",
        f"at most {spaced(MAX_EVENT_BYTES)} bytes",
        f"at most {MAX_SOURCES}",
        f"{spaced(NAME_BYTES)} bytes of names",
        f"{spaced(SLOTS)} slots of 8 bytes",
        f"have {BINS} slots",
        f"0.05 ms * {STEP}^k",
        f"k = 0 to {BINS - 2}",
        f"maps of at most {spaced(limits.MAX_MESSAGE_BYTES)} bytes",
        f"that of a tap at most {limits.TAP_FRAMES}",
        f"more than {limits.MAX_TAPS} taps",
        f"`drop_oldest`, {limits.TAP_FRAMES} frames",
    ],
)
def test_limits_are_those_of_the_page(said: str) -> None:
    assert said in " ".join(PAGE.split())


@pytest.mark.parametrize(
    ("known", "heading"), [(COMMANDS, "| to a node | fields |"), (NOTICES, "| from a node | fields |")]
)
def test_the_page_has_every_operation_and_no_other(known: Mapping[str, object], heading: str) -> None:
    assert {name for row in rows(heading, 2) for name in re.findall(r"`(\w+)`", row[0])} == set(known)


def test_operations_and_events_are_those_of_the_tables() -> None:
    assert with_tables(PAGE) == PAGE, "python -m audio_pipeline.control.page --write"
