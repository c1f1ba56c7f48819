"""When a pipeline ends, and how its processes do."""

from __future__ import annotations

import time

from audio_pipeline.errors import NodeError
from audio_pipeline.supervisor.lifecycle import FINISH_S, Lifecycle
from audio_pipeline.supervisor.parking import failed_sentence
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.ports import Send, send_to_all
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.supervisor.watch import by_child
from audio_pipeline.supervisor.writing import WRITE_S, is_writing
from audio_pipeline.worker.commands import Finish, Stop

STOP_S = 3.0  # from the request to stop until a process is killed


class Ending:
    """First the sources end and the end travels through the graph; then processes are asked to stop, or killed."""

    def __init__(self, state: PipelineState, life: Lifecycle, send: Send) -> None:
        self._state, self._life, self._send = state, life, send

    def turn(self, now_s: float) -> None:
        """Begins the end where its time has come."""
        if self._life.ending:
            return
        duration_s = self._state.duration_s
        over = self._state.live and duration_s is not None and self._life.uptime_s >= duration_s
        if over or self._life.stop_requested:
            self._life.finishing_s = now_s
            send_to_all(self._state, self._send, Finish())

    @property
    def over(self) -> bool:
        """True where nothing is left to wait for."""
        present = [record for record in self._state.playing if record.phase is not Phase.ABSENT]
        present = [record for record in present if not record.spec.cls.service] or present
        if all(record.phase in (Phase.ENDED, Phase.FAILED) for record in present):
            return True
        if self._life.finishing_s is None:
            return False
        late_s = time.monotonic() - self._life.finishing_s
        return late_s > WRITE_S or (late_s > FINISH_S and not any(map(self._is_writing, present)))

    def _is_writing(self, record: NodeRecord) -> bool:
        return is_writing(record, self._state.board_path(record))

    def end_processes(self) -> None:
        """Asked first, then killed; one that has something to write is waited for."""
        records = list(self._state.records())
        for record in records:
            if record.child is not None:
                self._send(record.address, Stop())
        asked_s = time.monotonic()
        for child, members in by_child(records):
            while not child.wait(max(asked_s + STOP_S - time.monotonic(), 0.05)):
                if time.monotonic() - asked_s > WRITE_S or not any(map(self._is_writing, members)):
                    child.kill()
                    child.wait(2)
                    break

    def note_failed(self) -> None:
        """A pipeline that ended without one of its nodes has an error and its exit code."""
        lost = [failed_sentence(record.note) for record in self._state.playing if record.phase is Phase.FAILED]
        if lost and self._life.error is None:
            self._life.fail(NodeError(f"it ended without what had failed: {'; '.join(lost)}"))
