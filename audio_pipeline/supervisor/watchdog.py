"""Looks at the nodes' processes again and again: what hangs or holds too much memory is killed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from audio_pipeline.errors import NodeError
from audio_pipeline.metrics import Reading
from audio_pipeline.supervisor.disk_wait import Standstill, waits_for_disk
from audio_pipeline.supervisor.process import Child
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.supervisor.stall import Stall
from audio_pipeline.supervisor.watch import (
    MEMORY_S,
    SAMPLE_S,
    Beats,
    Usage,
    by_child,
    hangs,
    late_start,
    over_cap,
    share_cpu,
)

if TYPE_CHECKING:
    from audio_pipeline.supervisor.supervisor import Supervisor

WATCH_S = 0.25
OVERSLEPT_S = 0.5  # a look that comes so late tells of this process, not of the nodes
TOLD_S = 1.0  # a wait for the disk that lasts so long is reported


class Watchdog:
    """Lives in the supervisor's thread."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._sup = supervisor
        self._next_sample_s = self._next_watch_s = self._next_memory_s = 0.0
        self._usage, self._beats, self._stall = Usage(), Beats(), Stall()
        self._standstills: dict[str, Standstill] = {}

    def turn(self, now_s: float) -> None:
        """Each look by itself: what the system refuses one of them does not keep the others from being had."""
        attempt = self._sup.steps.attempt
        attempt("the watch", lambda: self._watch(now_s))
        attempt("memory caps", lambda: self._check_memory(now_s))
        attempt("figures of processes", lambda: self._sample(now_s))

    def _watch(self, now_s: float) -> None:
        """Kills what hangs: a start that does not end, a loop that does not turn."""
        if now_s < self._next_watch_s:
            return
        overslept = now_s - self._next_watch_s > OVERSLEPT_S
        self._next_watch_s = now_s + WATCH_S
        if overslept:  # the host stood still, and the nodes with it: they get the time to say so
            return
        for child, records in self._processes():
            for record in records:
                said = self._stuck(record, records, now_s)
                if said:
                    self._end(child, record, said, "hang")
                    break
        self._watch_for_stall()

    def _processes(self) -> Iterator[tuple[Child, list[NodeRecord]]]:
        everybody = {**self._sup.nodes, **self._sup.editor.joining}
        self._standstills = {name: still for name, still in self._standstills.items() if name in everybody}
        yield from by_child(everybody.values())

    def _watch_for_stall(self) -> None:
        """Offline nodes wait for each other; when all do, for ever, the run ends with an error."""
        if self._sup.live or not self._sup.started or self._sup.finishing_s is not None:
            return
        running = [record for record in self._sup.nodes.values() if record.phase is Phase.RUNNING]
        boards = {r.name: Reading(self._sup.run.board_path(r.name, r.incarnation)) for r in running}
        said = self._stall.look(boards, time.monotonic_ns())
        if said:
            self._sup.give_up(NodeError(said))

    def _stuck(self, record: NodeRecord, fellows: Sequence[NodeRecord], now_s: float) -> str:
        if not record.ready:
            waited_s = self._waited_s(record, record.started_s, now_s, now_s - record.started_s)
            return late_start(record, fellows, now_s - waited_s)
        if record.phase not in (Phase.RUNNING, Phase.ENDED) or not all(fellow.ready for fellow in fellows):
            return ""
        signs, now_ns = self._signs(record), time.monotonic_ns()
        beat_ns = signs.get("beat_ns", now_ns)
        waited_s = self._waited_s(record, beat_ns, now_s, (now_ns - beat_ns) / 1e9)
        said = hangs(record, signs, now_ns - round(waited_s * 1e9), live=self._sup.live, alone=len(fellows) == 1)
        return f"{said}, {waited_s:.1f} s of it since it waited for a disk" if said and waited_s else said

    def _waited_s(self, record: NodeRecord, mark: float, now_s: float, silent_s: float) -> float:
        """How much of the time in which a node has given no sign of life it waited for a disk: that is no hang."""
        if silent_s < WATCH_S or record.child is None:
            self._tell_of_wait(record, 0.0)
            return 0.0
        still = self._standstills.setdefault(record.name, Standstill())
        waits = waits_for_disk(record.child.pid)
        waited_s = still.look((record.child.pid, mark), now_s, waits=waits, silent_s=silent_s)
        self._tell_of_wait(record, waited_s)
        return waited_s

    def _tell_of_wait(self, record: NodeRecord, waited_s: float) -> None:
        """Says once that a node waits, and once that it goes on."""
        before, record.disk_wait_s = record.disk_wait_s, waited_s
        if before < TOLD_S <= waited_s:
            self._sup.log(f"{record.name} waits for the disk", event="waits", level="warning", node=record.name)
        elif before >= TOLD_S > waited_s:
            said = f"{record.name} waited {before:.1f} s for the disk"
            self._sup.log(said, event="waited", level="warning", node=record.name)

    def _signs(self, record: NodeRecord) -> dict[str, int]:
        return self._beats.of(record.name, self._sup.run.board_path(record.name, record.incarnation))

    def _check_memory(self, now_s: float) -> None:
        if now_s < self._next_memory_s:
            return
        self._next_memory_s = now_s + MEMORY_S
        for child, records in by_child(self._sup.nodes.values()):
            for said in over_cap(records, self._usage, child.pid):
                self._end(child, records[0], said, "memory")

    @staticmethod
    def _end(child: Child, record: NodeRecord, said: str, cause: str) -> None:
        record.said = {"error": said, "cause": cause}
        child.kill()

    def _sample(self, now_s: float) -> None:
        """Once a second: CPU and memory of each process."""
        if now_s < self._next_sample_s:
            return
        self._next_sample_s = now_s + SAMPLE_S
        found = by_child(self._sup.nodes.values())
        self._usage.keep({child.pid for child, _ in found})
        self._beats.keep({*self._sup.nodes, *self._sup.editor.joining})
        for child, records in found:
            cpu, rss_mb = self._usage.cpu(child.pid), self._usage.rss_mb(child.pid)
            for record in records:
                record.cpu, record.rss_mb = cpu, rss_mb
            if len(records) > 1:
                share_cpu(records, cpu, [self._signs(record) for record in records])
