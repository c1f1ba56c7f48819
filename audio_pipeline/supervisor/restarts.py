"""Starts the nodes' processes: all at the beginning, and each that died when its time has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from audio_pipeline.supervisor.failures import Failures
from audio_pipeline.supervisor.incidents import CAUSE_CHARACTERS, clipped
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.playhead import Playhead
from audio_pipeline.supervisor.ports import Launch
from audio_pipeline.supervisor.records import BACKOFF_S, NodeRecord, Phase
from audio_pipeline.supervisor.shortage import Steps, is_shortage, reason_of

SPARE_AFTER_S = 2.0  # of the clock: a song begins in the moment when the machine has most to do


class Restarts:
    """`check_capacity` raises OSError where a process had better not be started; `prepare(now_s)` has one ready."""

    def __init__(
        self,
        state: PipelineState,
        life: Lifecycle,
        playhead: Playhead,
        failures: Failures,
        launch: Launch,
        check_capacity: Callable[[], None],
        prepare: Callable[[float], str],
        steps: Steps,
    ) -> None:
        self._state, self._life, self._playhead, self._failures = state, life, playhead, failures
        self._launch, self._check_capacity, self._prepare, self._steps = launch, check_capacity, prepare, steps

    def launch_all(self) -> None:
        """Every node of the graph gets a process. Raises what the system or a job refuses."""
        plan = self._state.plan
        for records in self._processes(plan.order):
            self._launch(records, self._state.run)

    def turn(self, now_s: float) -> None:
        """Starts whoever is due, and has a process ready for whoever dies next."""
        waiting = [record for record in self._state.playing if record.retry_s is not None]
        for records in self._processes(record.name for record in waiting if now_s >= (record.retry_s or 0)):
            if not self._life.ending or not all(record.phase is Phase.FAILED for record in records):
                self._launch_again(records)
        wanted = self._state.live and self._life.uptime_s > SPARE_AFTER_S  # offline nobody is replaced
        if wanted and all(r.retry_s is None and r.ready for r in self._state.playing if r.child):
            refused = self._prepare(time.monotonic())
            if refused:
                self._steps.note("a spare process", refused)

    def _processes(self, names: Iterable[str]) -> list[list[NodeRecord]]:
        """The records of these nodes, those of a group together, in this order."""
        found: dict[str, list[NodeRecord]] = {}
        state = self._state
        for name in names:
            record = state.nodes[name]
            found.setdefault(state.run.process_of(record.spec), []).append(record)
        return list(found.values())

    def _launch_again(self, records: Sequence[NodeRecord]) -> None:
        """A successor; what the system refuses is a failed try, and another comes after a while."""
        try:
            for record in records:
                if record.name in self._state.transports:
                    self._playhead.before_restart(record.name)
            self._check_capacity()
            self._launch(records, self._state.run)
        except Exception as error:
            if not (isinstance(error, OSError) or is_shortage(error)):
                raise
            self._on_refused(records, error)

    def _on_refused(self, records: Sequence[NodeRecord], error: Exception) -> None:
        cause = clipped(f"no process can be started: {reason_of(error)}", CAUSE_CHARACTERS)
        before = [record.failures for record in records]
        self._failures.count(records, records[0], cause, None)
        if not is_shortage(error):
            self._failures.go_on(records, records[0], cause)
            return
        for record, failures in zip(records, before, strict=True):  # not its fault: it waits, and is not parked
            record.failures = max(failures, min(failures + 1, len(BACKOFF_S)))
        self._failures.retry(records)
