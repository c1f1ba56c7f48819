"""Processes that need no successor: at the end, and where no restart mends what happened."""

from __future__ import annotations

from collections.abc import Sequence

from audio_pipeline.errors import NodeError
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.ports import Send, send_to_all
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.supervisor.starter import Starter
from audio_pipeline.worker.commands import Absent

MAX_START_FAILURES = 2  # crashes in a row before it was ever up; one more and it is given up


class Losses:
    """Lives in the supervisor's thread."""

    def __init__(
        self, state: PipelineState, life: Lifecycle, events: EventStream, starter: Starter, send: Send
    ) -> None:
        self._state, self._life, self._events = state, life, events
        self._starter, self._send = starter, send

    def is_over(self, records: Sequence[NodeRecord]) -> bool:
        """True where the process of these nodes is needed no more."""
        if not self._life.ending and not all(record.phase is Phase.ENDED for record in records):
            return False
        for record in records:
            if record.phase is not Phase.ENDED:  # it died during the end: its consumers need not wait for it
                record.phase = Phase.FAILED if record.phase is Phase.FAILED else Phase.ENDED
                send_to_all(self._state, self._send, Absent(record.name))
        return True

    def is_beyond_repair(self, record: NodeRecord, cause: str) -> bool:
        """True for a node that cannot start, and for any death offline, where nothing may be lost.

        An optional node is left out then; for any other the pipeline ends.
        """
        failure = record.failure
        crashed = failure is None or failure.cause == "crash"
        if self._state.live and (self._life.started or (crashed and record.failures < MAX_START_FAILURES)):
            if not (record.spec.optional and failure is not None and failure.cause == "DeviceError"):
                return False
        if record.spec.optional:
            self._leave_out(record, cause)
            return True
        error = NodeError(f"node {record.name!r}: {cause}")
        if not crashed and failure is not None and failure.exit_code is not None:
            error.exit_code = failure.exit_code  # the cause's own
        self._life.give_up(error)
        return True

    def _leave_out(self, record: NodeRecord, cause: str) -> None:
        record.phase, record.note = Phase.ABSENT, cause
        sentence = f"{record.name} is left out: {cause}"
        self._events.log(sentence, event="left_out", level="warning", node=record.name, cause=cause)
        if self._life.started:
            send_to_all(self._state, self._send, Absent(record.name))
        else:
            self._starter.start_if_ready()
