"""Boards that are read again and again give what a fresh reading gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.metrics import Board, Reading
from audio_pipeline.supervisor.board_readings import MOST_BOARDS, BoardReadings

NAMES = ("count.a", "count.b", "out.out>mix.in.sent", "level.out.peak_db")
ACTS = st.tuples(st.sampled_from(("add", "gauge", "observe", "remember")), st.sampled_from(NAMES), st.integers(0, 999))


def act(board: Board, what: str, name: str, value: int) -> None:
    if what == "add":
        board.add(name, value)
    elif what == "gauge":
        board.gauge(f"{name}.gauge", float(value))
    elif what == "observe":
        board.observe_ms(f"{name}.age", float(value))
    else:
        board.remember(f"{name}.worst", value, value)


def assert_same(found: Reading | None, path: Path) -> None:
    fresh = Reading(path)
    assert found is not None and dict(found) == dict(fresh) and len(found) == len(fresh)
    assert found.histograms.keys() == fresh.histograms.keys()
    for name, counts in fresh.histograms.items():
        assert np.array_equal(found.histograms[name], counts)
        assert np.array_equal(found.histogram(name), fresh.histogram(name))
        assert found.remembered(name) == fresh.remembered(name)
    for prefix in ("count.", "out.", "nothing"):
        assert found.under(prefix) == fresh.under(prefix)
    assert found.remembered("nothing") is None and not found.histogram("nothing").any()
    assert found.get("nothing", 7) == 7


@given(st.lists(ACTS, max_size=30))
def test_a_board_that_grows_is_read_as_a_fresh_reading_reads_it(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, str, int]]
) -> None:
    path = tmp_path_factory.mktemp("board") / "board"
    board, readings = Board(path), BoardReadings()
    assert_same(readings.read(path), path)
    for each in acts:
        act(board, *each)
        assert_same(readings.read(path), path)
    board.close()


def test_a_reading_is_of_one_moment(tmp_path: Path) -> None:
    board, readings = Board(tmp_path / "board"), BoardReadings()
    board.add("count.a")
    before = readings.read(tmp_path / "board")
    board.add("count.a")
    assert before is not None and before["count.a"] == 1
    board.close()


def test_a_board_that_is_gone_or_half_made_holds_nothing(tmp_path: Path) -> None:
    readings, path = BoardReadings(), tmp_path / "board"
    assert readings.read(path) is None
    path.write_bytes(b"\0" * 100)
    found = readings.read(path)
    assert found is not None and dict(found) == {}
    Board(path).close()
    assert_same(readings.read(path), path)
    path.unlink()
    assert readings.read(path) is None


def test_names_are_kept_for_a_bounded_number_of_boards(tmp_path: Path) -> None:
    board, readings = Board(tmp_path / "0"), BoardReadings()
    for number in range(1, MOST_BOARDS + 50):
        (tmp_path / str(number)).hardlink_to(tmp_path / "0")
        readings.read(tmp_path / str(number))
    assert readings.known == MOST_BOARDS
    board.close()
