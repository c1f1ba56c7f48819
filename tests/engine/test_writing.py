"""Who says that something waits for the disk is waited for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from audio_pipeline.metrics import Board
from audio_pipeline.supervisor.writing import is_writing


@pytest.mark.parametrize(("held", "alive", "writing"), [(0.0, True, False), (64.0, True, True), (64.0, False, False)])
def test_a_node_is_waited_for_while_it_lives_and_has_something_to_write(
    tmp_path: Path, held: float, alive: bool, writing: bool
) -> None:
    path = tmp_path / "rec.0.board"
    record: Any = SimpleNamespace(name="rec", incarnation=0, child=object() if alive else None)
    assert not is_writing(record, path)  # it says nothing
    board = Board(path)
    board.gauge("gauge.unwritten_bytes", held)
    assert is_writing(record, path) is writing
