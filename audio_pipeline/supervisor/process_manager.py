"""Decides what follows from the end of a process."""

from __future__ import annotations

from collections.abc import Callable

from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.failures import Failures
from audio_pipeline.supervisor.incidents import CAUSE_CHARACTERS, clipped
from audio_pipeline.supervisor.losses import Losses
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.reaper import Reaper
from audio_pipeline.supervisor.records import NodeRecord, Phase, Process
from audio_pipeline.supervisor.transaction import Transaction


class ProcessManager:
    """Keeps a process alive for each node or group. `forget(name)` answers whoever waits for a node that died."""

    def __init__(
        self,
        state: PipelineState,
        events: EventStream,
        transaction: Transaction,
        losses: Losses,
        failures: Failures,
        reaper: Reaper,
        forget: Callable[[str], None],
    ) -> None:
        self._state, self._events, self._transaction = state, events, transaction
        self._losses, self._failures, self._reaper, self._forget = losses, failures, reaper, forget

    def on_exit(self, child: Process, code: int) -> None:
        """All nodes of a process are gone; the one that stated why is the cause."""
        records = [record for record in self._state.playing if record.child is child]
        for record in records:
            record.child = None
            self._forget(record.name)
            self._transaction.on_death(record.name)
        for record in self._transaction.bystanders(child):
            record.child = None
            self._transaction.on_exit(record, _cause_of(record, code))
        if records and not self._losses.is_over(records):
            self._on_death(records, child, code)
        self._reaper.keep_log(child.log)

    def _on_death(self, records: list[NodeRecord], child: Process, code: int) -> None:
        culprit = next((record for record in records if record.failure), records[0])
        cause = clipped(_cause_of(culprit, code), CAUSE_CHARACTERS)
        if self._losses.is_beyond_repair(culprit, cause):
            if culprit.phase is not Phase.ABSENT:
                return
            records.remove(culprit)
        else:
            self._failures.count(records, culprit, cause, child)
        for record in records:
            self._reaper.reap(record)
            self._put_back(record, cause)
        self._failures.go_on(records, culprit, cause)

    def _put_back(self, record: NodeRecord, cause: str) -> None:
        """One that died before it was ready does not get again what was set while it was down."""
        if not record.ready and record.take_back():
            sentence = f"{record.name} did not start with what was set while it was down ({cause}); that is taken back"
            self._events.log(sentence, event="taken_back", level="warning", node=record.name)


def _cause_of(record: NodeRecord, code: int) -> str:
    if record.failure is not None and record.failure.error:
        return record.failure.error
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
