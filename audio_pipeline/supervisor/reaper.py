"""Takes in what a process that ended has left: its board and its log."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from audio_pipeline.metrics import Reading
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.supervisor.shortage import Steps

LOGS_KEPT = 50  # of processes that are gone

Descriptor = Callable[[Path], int | None]  # of a file that is held open


class Reaper:
    """A board that the system does not let us read now is given up: its process is gone."""

    def __init__(self, state: PipelineState, steps: Steps, descriptor: Descriptor = lambda path: None) -> None:
        self._state, self._steps, self._descriptor = state, steps, descriptor
        self._logs: deque[Path] = deque()

    def reap(self, record: NodeRecord) -> None:
        """The figures of the incarnation that ended are kept; the next one comes."""
        read = self.last_board(record)
        record.dead = [*([Reading.added(record.dead)] if record.dead else []), *read]  # two, however many died
        record.incarnation += 1
        record.phase = Phase.FAILED if record.phase is Phase.FAILED else Phase.RESTARTING

    def keep_log(self, log: Path) -> None:
        """Of processes that are gone the newest logs are kept."""
        self._logs.append(log)
        while len(self._logs) > LOGS_KEPT:
            with suppress(OSError):
                self._logs.popleft().unlink()

    def last_board(self, record: NodeRecord) -> list[Reading]:
        """The board that a process left, which is removed; none where it cannot be read."""
        path = self._state.board_path(record)
        read: list[Reading] = []
        step = f"the last figures of {record.name}"
        self._steps.attempt(step, lambda: read.append(Reading(path, self._descriptor(path))))
        with suppress(OSError):
            path.unlink()
        return read
