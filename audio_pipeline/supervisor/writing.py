"""Whether a node has something left to write, on a disk that is slow: then it is waited for when it is to end."""

from __future__ import annotations

from pathlib import Path

from audio_pipeline.supervisor.board_readings import BoardReadings
from audio_pipeline.supervisor.records import NodeRecord

WRITE_S = 300.0  # for longer nobody is kept waiting
UNWRITTEN = "gauge.unwritten_bytes"


def is_writing(record: NodeRecord, board: Path) -> bool:
    """True while the process of a node shows on its board that something waits for the disk."""
    try:
        shown = BoardReadings().read(board) if record.child is not None else None
    except OSError:
        return False
    return shown is not None and bool(shown.get(UNWRITTEN))
