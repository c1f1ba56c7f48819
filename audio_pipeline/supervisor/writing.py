"""Whether a node has something left to write, on a disk that is slow: then it is waited for when it is to end."""

from __future__ import annotations

from pathlib import Path

from audio_pipeline.supervisor.board_reader import BoardReader
from audio_pipeline.supervisor.records import NodeRecord

WRITE_S = 300.0  # for longer nobody is kept waiting
UNWRITTEN = "~gauge.unwritten_bytes"  # as boards name what holds a float


def is_writing(record: NodeRecord, board: Path) -> bool:
    """True while the process of a node shows on its board that something waits for the disk."""
    return record.child is not None and bool(BoardReader(board, (UNWRITTEN,)).read().get(UNWRITTEN))
