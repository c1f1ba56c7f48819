"""Checks the nodes' processes again and again: what hangs or holds too much memory is killed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from audio_pipeline.control.notices import Failed
from audio_pipeline.errors import NodeError
from audio_pipeline.metrics import Reading
from audio_pipeline.supervisor.board_readings import BoardReadings
from audio_pipeline.supervisor.disk_wait import Standstill, waits_for_disk
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.records import NodeRecord, Phase, Process
from audio_pipeline.supervisor.shortage import Steps
from audio_pipeline.supervisor.stall import Stall
from audio_pipeline.supervisor.watch import (
    MEMORY_S,
    SAMPLE_S,
    Usage,
    by_child,
    hangs,
    late_start,
    over_cap,
    share_cpu,
)

WATCH_S = 0.25
OVERSLEPT_S = 0.5  # a check that comes so late is about this process, not about the nodes
REPORTED_S = 1.0  # a wait for the disk that lasts so long is reported


class Watchdog:
    """Lives in the supervisor's thread."""

    def __init__(self, state: PipelineState, life: Lifecycle, events: EventStream, steps: Steps) -> None:
        self._state, self._life, self._events, self._steps = state, life, events, steps
        self._next_sample_s = self._next_watch_s = self._next_memory_s = 0.0
        self._usage, self._readings, self._stall = Usage(), BoardReadings(), Stall()
        self._standstills: dict[str, Standstill] = {}

    def turn(self, now_s: float) -> None:
        """Each check by itself: what the system refuses one of them does not keep the others from being made."""
        attempt = self._steps.attempt
        attempt("the watch", lambda: self._watch(now_s))
        attempt("memory caps", lambda: self._check_memory(now_s))
        attempt("figures of processes", lambda: self._sample(now_s))

    def _watch(self, now_s: float) -> None:
        """Kills what hangs: a start that does not end, a loop that does not turn."""
        if now_s < self._next_watch_s:
            return
        overslept = now_s - self._next_watch_s > OVERSLEPT_S
        self._next_watch_s = now_s + WATCH_S
        if overslept:  # the host stood still, and the nodes with it: they get the time to show signs of life
            return
        for child, records in self._processes():
            for record in records:
                reason = self._stuck(record, records, now_s)
                if reason:
                    self._end(child, record, reason, "hang")
                    break
        self._watch_for_stall()

    def _processes(self) -> Iterator[tuple[Process, list[NodeRecord]]]:
        everybody = {**self._state.nodes, **self._state.joining}
        self._standstills = {name: still for name, still in self._standstills.items() if name in everybody}
        yield from by_child(everybody.values())

    def _watch_for_stall(self) -> None:
        """Offline nodes wait for each other; when all do, for ever, the run ends with an error."""
        if self._state.live or not self._life.started or self._life.ending:
            return
        running = [record for record in self._state.playing if record.phase is Phase.RUNNING]
        boards = {r.name: Reading(self._state.board_path(r)) for r in running}
        reason = self._stall.check(boards, time.monotonic_ns())
        if reason:
            self._life.give_up(NodeError(reason))

    def _stuck(self, record: NodeRecord, fellows: Sequence[NodeRecord], now_s: float) -> str:
        if not record.ready:
            waited_s = self._waited_s(record, record.started_s, now_s, now_s - record.started_s)
            return late_start(record, fellows, now_s - waited_s)
        if record.phase not in (Phase.RUNNING, Phase.ENDED) or not all(fellow.ready for fellow in fellows):
            return ""
        board, now_ns = self._board(record), time.monotonic_ns()
        beat_ns = board.get("beat_ns", now_ns)
        waited_s = self._waited_s(record, beat_ns, now_s, (now_ns - beat_ns) / 1e9)
        reason = hangs(record, board, now_ns - round(waited_s * 1e9), live=self._state.live, alone=len(fellows) == 1)
        return f"{reason}, {waited_s:.1f} s of it since it waited for a disk" if reason and waited_s else reason

    def _waited_s(self, record: NodeRecord, mark: float, now_s: float, silent_s: float) -> float:
        """How much of the time in which a node has given no sign of life it waited for a disk: that is no hang."""
        if silent_s < WATCH_S or record.child is None:
            self._report_wait(record, 0.0)
            return 0.0
        still = self._standstills.setdefault(record.name, Standstill())
        waits = waits_for_disk(record.child.pid)
        waited_s = still.update((record.child.pid, mark), now_s, waits=waits, silent_s=silent_s)
        self._report_wait(record, waited_s)
        return waited_s

    def _report_wait(self, record: NodeRecord, waited_s: float) -> None:
        """Says once that a node waits, and once that it goes on."""
        before, record.disk_wait_s = record.disk_wait_s, waited_s
        if before < REPORTED_S <= waited_s:
            self._events.log(f"{record.name} waits for the disk", event="waits", level="warning", node=record.name)
        elif before >= REPORTED_S > waited_s:
            reason = f"{record.name} waited {before:.1f} s for the disk"
            self._events.log(reason, event="waited", level="warning", node=record.name)

    def _board(self, record: NodeRecord) -> Mapping[str, float]:
        """Nothing while it is being made, or cannot be read now."""
        try:
            return self._readings.read(self._state.board_path(record)) or {}
        except OSError:
            return {}

    def _check_memory(self, now_s: float) -> None:
        if now_s < self._next_memory_s:
            return
        self._next_memory_s = now_s + MEMORY_S
        for child, records in by_child(self._state.playing):
            for reason in over_cap(records, self._usage, child.pid):
                self._end(child, records[0], reason, "memory")

    @staticmethod
    def _end(child: Process, record: NodeRecord, reason: str, cause: str) -> None:
        record.failure = Failed(reason, cause)
        child.kill()

    def _sample(self, now_s: float) -> None:
        """Once a second: CPU and memory of each process."""
        if now_s < self._next_sample_s:
            return
        self._next_sample_s = now_s + SAMPLE_S
        found = by_child(self._state.playing)
        self._usage.keep({child.pid for child, _ in found})
        for child, records in found:
            cpu, rss_mb = self._usage.cpu(child.pid), self._usage.rss_mb(child.pid)
            for record in records:
                record.cpu, record.rss_mb = cpu, rss_mb
            if len(records) > 1:
                share_cpu(records, cpu, [self._board(record) for record in records])
