from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audio_pipeline.histogram import AGE_EDGES_MS, BINS, bin_of, quantile_ms
from audio_pipeline.metrics import NAME_BYTES, SLOTS, Board, Reading


def test_what_is_counted_is_read_while_the_writer_lives_and_after(tmp_path: Path) -> None:
    path = tmp_path / "board"
    board = Board(path)
    board.add("in>a.received")
    board.add("in>a.received", 4)
    board.put("position", -7)
    board.gauge("level.out.peak_db", -12.5)
    assert dict(Reading(path)) == {"in>a.received": 5, "position": -7, "level.out.peak_db": -12.5}
    board.put("position", 8)
    board.close()
    assert Reading(path)["position"] == 8
    assert Reading(path).under("in>a.") == {"received": 5} and len(Reading(path)) == 3


def test_a_board_is_private(tmp_path: Path) -> None:
    Board(tmp_path / "board").close()
    assert (tmp_path / "board").stat().st_mode & 0o777 == 0o600


def test_a_board_that_is_full_counts_on_and_stops_nobody(tmp_path: Path) -> None:
    """A node that makes up names, or a visitor with a new name each time, must not end the sound."""
    board = Board(tmp_path / "board")
    board.add("first")
    for number in range(SLOTS + 100):
        board.add(f"name {number}")
        board.gauge(f"level {number}", 1.0)
    board.observe_ms("age", 5.0)
    board.add("first")
    reading = Reading(tmp_path / "board")
    assert reading["first"] == 2 and reading["name 7"] == 1 and reading["level 7"] == 1.0
    assert not reading.histograms and len(reading) < SLOTS
    board.close()


def test_long_names_fill_a_board_too(tmp_path: Path) -> None:
    board = Board(tmp_path / "board")
    for number in range(20):
        board.add(f"{number}" * (NAME_BYTES // 15))
    assert 0 < len(Reading(tmp_path / "board")) < 20
    board.close()


@given(st.lists(st.text(max_size=20), max_size=8))
@example(["\0"])
def test_any_name_may_be_counted(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = tmp_path_factory.mktemp("board") / "board"
    board = Board(path)
    for name in names:
        board.add(name.encode(errors="replace").decode())
    board.add("after")
    assert Reading(path)["after"] == 1 + names.count("after")
    board.close()


@pytest.mark.parametrize("size", [None, 0, 1000])
def test_a_board_that_is_just_being_made_is_empty(tmp_path: Path, size: int | None) -> None:
    path = tmp_path / "board"
    if size is not None:
        path.write_bytes(bytes(size))
    assert not Reading(path) and not Reading(path).histograms


@given(st.binary(max_size=200))
def test_any_bytes_in_a_board_are_a_reading(tmp_path_factory: pytest.TempPathFactory, garbage: bytes) -> None:
    path = tmp_path_factory.mktemp("board") / "board"
    Board(path).close()
    raw = bytearray(path.read_bytes())
    raw[: len(garbage)] = garbage
    raw[NAME_BYTES : NAME_BYTES + 8] = (garbage + bytes(8))[:8]
    path.write_bytes(raw + b"\n")
    Reading(path)
    path.write_bytes(raw[:-1] + b"x")
    Reading(path)


def test_an_entry_that_points_outside_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "board"
    Board(path).close()
    raw = bytearray(path.read_bytes())
    raw[NAME_BYTES : NAME_BYTES + 8] = SLOTS.to_bytes(8, sys.byteorder)
    entry = f"good\t200\t1\nbad\t{SLOTS}\t1\nworse\t{SLOTS - 10}\t64\n".encode()
    raw[: len(entry)] = entry
    path.write_bytes(raw)
    assert dict(Reading(path)) == {"good": 0}


@given(st.lists(st.floats(0.051, 40_000), min_size=1, max_size=200), st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_right_within_a_bin(values: list[float], q: float) -> None:
    """Bins grow by a factor of 1.075."""
    counts = np.zeros(BINS, np.int64)
    for value in values:
        counts[np.searchsorted(AGE_EDGES_MS, value)] += 1
    exact = sorted(values)[max(int(np.ceil(q * len(values))) - 1, 0)]
    assert exact / 1.076 <= quantile_ms(counts, q) <= exact * 1.076


def test_the_quantile_of_nothing_is_0() -> None:
    assert quantile_ms(np.zeros(BINS, np.int64), 0.5) == 0.0


def test_durations_fill_a_histogram_and_keep_the_worst(tmp_path: Path) -> None:
    board = Board(tmp_path / "board")
    for value in (1.0, 1.0, 200.0, 0.0, 1e9):
        board.observe_ms("age.in", value)
    reading = Reading(tmp_path / "board")
    counts = reading.histograms["age.in"]
    assert counts.sum() == 5 and counts[0] == 1 and counts[-1] == 1
    assert reading["age.in.max"] == 1e9 and 0.93 <= quantile_ms(counts, 0.5) <= 1.075
    board.close()


def test_numbers_that_belong_together_are_read_together_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "board"
    board = Board(path)
    assert Reading(path).remembered("worst.age.in") is None
    board.remember("worst.age.in", 7, -3, 1)
    board.remember("worst.age.in", 8, 1 << 60, 2)
    assert Reading(path).remembered("worst.age.in") == [8, 1 << 60, 2]
    raw = bytearray(path.read_bytes())
    start = NAME_BYTES + 8 + board.slot("worst.age.in", 5) * 8
    raw[start] += 1  # as it stands while the next one is being written
    path.write_bytes(raw)
    assert Reading(path).remembered("worst.age.in") is None
    board.close()


def test_the_worst_so_far_is_told(tmp_path: Path) -> None:
    board = Board(tmp_path / "board")
    assert [board.observe_ms("age", value) for value in (0.0, 3.0, 3.0, 2.0, 4.0)] == [True, True, True, False, True]
    assert Reading(tmp_path / "board").histogram("age").sum() == 5
    assert Reading(tmp_path / "board").histogram("other").sum() == 0
    board.close()


def test_boards_of_the_dead_as_one_keep_the_worst_frame_and_what_adds_up(tmp_path: Path) -> None:
    readings = []
    for number, (age_ms, wait_ns) in enumerate(((40.0, 500), (10.0, 70))):
        board = Board(tmp_path / str(number))
        board.observe_ms("age.in", age_ms)
        board.remember("worst.age.in", number, 7, 1, 2)
        board.add("wait_ns", wait_ns)
        board.put("position", number)
        board.close()
        readings.append(Reading(tmp_path / str(number)))
    total = Reading.added(readings)
    assert total["age.in.max"] == 40.0 and total.remembered("worst.age.in") == [0, 7, 1, 2]
    assert total.histogram("age.in").sum() == 2 and total["wait_ns"] == 570 and total["position"] == 1


def test_what_is_just_being_added_is_not_read_yet(tmp_path: Path) -> None:
    """The name stands there before its slots count as used."""
    path = tmp_path / "board"
    board = Board(path)
    board.add("old")
    raw = bytearray(path.read_bytes())
    entry = f"new\t{BINS + 1}\t1\n".encode()
    at = raw.index(b"\0")
    raw[at : at + len(entry)] = entry
    path.write_bytes(raw)
    assert dict(Reading(path)) == {"old": 1}
    board.close()


@pytest.mark.parametrize("nudge", [0.0, -1e-6, 1e-6])
def test_the_logarithm_finds_the_bin_that_a_search_finds(nudge: float) -> None:
    """Edges belong to the bin below them; a value a millionth beside an edge is on its own side of it."""
    for edge in AGE_EDGES_MS.tolist():
        value = edge * (1 + nudge)
        assert bin_of(value) == np.searchsorted(AGE_EDGES_MS, value), value


@pytest.mark.parametrize(("value_ms", "bin_"), [(0.0, 0), (1e-300, 0), (1e6, BINS - 1), (math.inf, BINS - 1)])
def test_what_no_bin_holds_is_in_the_first_or_the_last(value_ms: float, bin_: int) -> None:
    assert bin_of(value_ms) == bin_
