"""Whether a node has something left to write, on a disk that is slow: then it is waited for when it is to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audio_pipeline.supervisor.board_reader import BoardReader
from audio_pipeline.supervisor.records import NodeRecord

if TYPE_CHECKING:
    from audio_pipeline.supervisor.supervisor import Supervisor

WRITE_S = 300.0  # for longer nobody is kept waiting
UNWRITTEN = "~gauge.unwritten_bytes"  # as boards name what holds a float


def is_writing(supervisor: Supervisor, record: NodeRecord) -> bool:
    """True while the process of a node says that something waits for the disk."""
    board = supervisor.run.board_path(record.name, record.incarnation)
    return record.child is not None and bool(BoardReader(board, (UNWRITTEN,)).look().get(UNWRITTEN))
