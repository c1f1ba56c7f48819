"""Logs that keep their last 256 KiB: written by real processes, trimmed from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from audio_pipeline.cli.observe import Printed
from audio_pipeline.control.snapshots import NodeLedger
from audio_pipeline.host import log_ring
from audio_pipeline.host.log_ring import RING, last_lines, read_from, trim

LINE = b"%09d a line that a node prints with every frame of sound that it works on\n"


def room(path: Path) -> int:
    return path.stat().st_blocks * 512


@pytest.fixture(params=[True, False], ids=["holes", "no holes"])
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A log on a file system that knows holes, and on one that does not."""
    if not request.param:
        monkeypatch.setattr(log_ring, "_punch", lambda number, end: False)
    path = tmp_path / "worker-1.log"
    path.touch()
    return path


def test_a_hundred_thousand_lines_take_a_fixed_room_and_the_last_are_kept(log: Path) -> None:
    number = os.open(log, os.O_WRONLY | os.O_APPEND)  # as a child has it
    for start in range(0, 100_000, 1000):
        os.write(number, b"".join(LINE % at for at in range(start, start + 1000)))
        trim(log)
        assert room(log) <= RING + 80_000, "what came since the last look, and not more"
    os.close(number)
    lines = last_lines(log, 1000)
    assert [int(line[:9]) for line in lines] == list(range(99_000, 100_000))


def test_a_reader_misses_what_is_gone_and_reads_no_line_twice_or_in_part(tmp_path: Path) -> None:
    log, read, at = tmp_path / "worker-1.log", [], 0
    with log.open("ab", buffering=0) as out:
        for start in range(0, 40_000, 1000):
            out.write(b"".join(LINE % at for at in range(start, start + 1000)))
            trim(log)
            if start % 7000 == 0:
                data, begin = read_from(log, at)
                at = begin + len(data)
                read += data.splitlines()
    assert all(len(line) == len(LINE % 0) - 1 for line in read)
    numbers = [int(line[:9]) for line in read]
    assert numbers == sorted(set(numbers))
    assert last_lines(log, 1)[0].startswith("000039999")


def test_children_that_inherit_the_descriptor_are_neither_blocked_nor_lost(log: Path) -> None:
    """Nobody reads, and a child writes eight times what a pipe holds."""
    child = "for i in range(8000): print('child', i, 'of a node that prints and prints and prints', flush=True)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); print('the node ends')"
    with log.open("ab") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, stderr=out, check=True)
    trim(log)
    assert room(log) <= RING
    assert last_lines(log, 2)[0].startswith("child 7999 ") and last_lines(log, 2)[1] == "the node ends"


def test_a_line_without_end_takes_no_more_room_than_others(log: Path) -> None:
    with log.open("ab", buffering=0) as out:
        for _ in range(20):
            out.write(b"x" * 100_000)
            trim(log)
    assert room(log) <= RING and len(read_from(log, 0)[0]) <= RING


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    trim(tmp_path / "none")
    assert last_lines(tmp_path / "none", 5) == [] and read_from(tmp_path / "none", 7) == (b"", 7)


def test_the_command_logs_follows_a_log_whose_beginning_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = {"mix": NodeLedger("", "worker-1.log", {}, {})}
    path = tmp_path / "worker-1.log"
    path.write_bytes(b"".join(LINE % at for at in range(20_000)))
    trim(path)
    printed = Printed(tmp_path, prefix=False)
    printed.show(nodes, ["mix"])
    first = capsys.readouterr().out.splitlines()
    assert first[-1].startswith("000019999") and all(len(line) == len(LINE % 0) - 1 for line in first)
    with path.open("ab") as out:
        out.write(LINE % 20_000)
    printed.show(nodes, ["mix"])
    assert capsys.readouterr().out == (LINE % 20_000).decode()
