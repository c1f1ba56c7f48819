"""The lives of the nodes' processes: launch, death, back-off, hang, absence."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from audio_pipeline.errors import NodeError
from audio_pipeline.graph.job import Job
from audio_pipeline.graph.node_keys import process_of
from audio_pipeline.graph.types import Graph
from audio_pipeline.metrics import Reading
from audio_pipeline.settings import plain
from audio_pipeline.supervisor.desired import MAX_FAILURES, NodeRecord, Phase
from audio_pipeline.supervisor.jobs import Run, make_job
from audio_pipeline.supervisor.process import Child, Spares, broods
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
MAX_START_FAILURES = 2  # crashes in a row before it was ever up; one more and it is given up
WHOLE_INCIDENTS = 50  # older ones keep when, who and why


class Nursery:
    """Keeps a process alive for each node or group. Lives in the supervisor's thread: processes die with it."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._sup = supervisor
        self.incidents: list[dict[str, Any]] = []
        self._exits: deque[tuple[Child, int]] = deque()
        self._next_sample_s = self._next_watch_s = self._next_memory_s = 0.0
        self._usage, self._beats = Usage(), Beats()
        self._stall = Stall()
        self._spares = Spares(broods(supervisor.graph), supervisor.run_dir.path, supervisor.run_dir.note_children)
        for members in self._processes(supervisor.run.plan.order):
            self.launch(members, supervisor.run)

    def turn(self, now_s: float) -> None:
        """Looks after everybody."""
        while self._exits:
            self._on_exit(*self._exits.popleft())
        self._restart_due(now_s)
        self._watch(now_s)
        self._check_memory(now_s)
        self._sample(now_s)

    def prepare_spare(self) -> None:
        """Has a process ready for whoever dies next."""
        self._spares.prepare()

    def _processes(self, names: Iterable[str]) -> list[list[NodeRecord]]:
        """The records of these nodes, those of a group together, in this order."""
        found: dict[str, list[NodeRecord]] = {}
        for name in names:
            record = self._sup.nodes[name]
            found.setdefault(process_of(record.spec), []).append(record)
        return list(found.values())

    # -- launch -------------------------------------------------------------------------------------

    def learn(self, graph: Graph) -> None:
        """Spare processes import what a changed graph needs from now on."""
        self._spares.learn(broods(graph))

    def launch(self, records: Sequence[NodeRecord], run: Run) -> None:
        """Gives a process the jobs of its nodes, with everything their predecessors knew."""
        run.add_clocks()
        jobs = [self._job(record, run) for record in records]
        child = self._spares.take(records[0].spec.keys.python)
        for record in records:
            record.ready, record.retry_s, record.said = False, None, {}
            record.started_s, record.child, record.busy_ns = time.monotonic(), child, 0.0
            record.revision = self._sup.editor.revision

        def gone(code: int) -> None:
            self._exits.append((child, code))
            self._sup.wake()

        child.give(jobs, gone)

    def _job(self, record: NodeRecord, run: Run) -> Job:
        return make_job(run, record.name, incarnation=record.incarnation, born=record.born, **self._desired(record))

    def _desired(self, record: NodeRecord) -> dict[str, Any]:
        wanted: dict[str, Any] = {
            "settings": record.settings, "input_settings": record.input_settings, "state": record.state,
            "generations": {name: transport.generation for name, transport in self._sup.transports.items()},
            "schedule": record.schedule,
        }  # fmt: skip
        if record.name in self._sup.transports and not self._sup.live and self._sup.duration_s is not None:
            wanted["end_position"] = round(self._sup.duration_s * self._sup.graph.rate)
        wanted["joins"] = record.name in self._sup.editor.joining
        if record.incarnation > record.born:
            wanted["anchors"] = _anchors(record.dead[-1]) if record.dead else {}
            if record.name in self._sup.transports:
                wanted["transport"] = self._sup.operator.resume_words(record.name)
                wanted["state"] = {**record.state, **wanted["transport"]}
        return wanted

    # -- death --------------------------------------------------------------------------------------

    def _on_exit(self, child: Child, code: int) -> None:
        """All nodes of the process are gone; the one that said why is the cause."""
        records = [record for record in self._sup.nodes.values() if record.child is child]
        for record in records:
            record.child = None
            self._sup.operator.farewell(record.name)
            self._sup.editor.on_death(record.name)
        for record in self._sup.editor.bystanders(child):
            record.child = None
            self._sup.editor.on_exit(record, str(record.said.get("error") or _cause_of(code)))
        if not records or self._is_over(records):
            return
        culprit = next((record for record in records if record.said), records[0])
        cause = str(culprit.said.get("error") or _cause_of(code))
        if self._beyond_repair(culprit, cause):
            if culprit.phase is not Phase.ABSENT:
                return
            records.remove(culprit)
        elif self._is_hopeless(records, culprit, child, cause):
            return
        for record in records:
            self._bury(record)
        self._retry(records)

    def _is_over(self, records: Sequence[NodeRecord]) -> bool:
        """True where nobody needs the process any more."""
        if self._sup.finishing_s is None and not all(record.phase is Phase.ENDED for record in records):
            return False
        for record in records:
            if record.phase is not Phase.ENDED:  # it died during the end: its consumers need not wait for it
                record.phase = Phase.ENDED
                for other in self._sup.nodes:
                    self._sup.tell(other, {"op": "absent", "node": record.name})
        return True

    def _is_hopeless(self, records: Sequence[NodeRecord], culprit: NodeRecord, child: Child, cause: str) -> bool:
        """Notes the incident; True where it was one too many."""
        with_it = [record.name for record in records if record is not culprit]
        shared = f", and with it {', '.join(with_it)}" if with_it else ""
        self._note_incident(culprit, child, cause, with_it, f"{culprit.name} died ({cause}){shared}, restarting")
        for record in records:
            record.failures = 1 if record.healthy else record.failures + 1
        if culprit.failures <= MAX_FAILURES:
            return False
        culprit.phase = Phase.FAILED
        self._sup.give_up(NodeError(f"node {culprit.name!r} failed {MAX_FAILURES} times in a row: {cause}"))
        return True

    def _note_incident(
        self, record: NodeRecord, child: Child, cause: str, with_it: Sequence[str], said: str
    ) -> None:
        """For the report, for whoever watches, and for logs: what died and how, and what became of its frames."""
        facts = {"node": record.name, "pid": child.pid, "incarnation": record.incarnation, "cause": cause}
        incident = {
            "time_s": self._sup.uptime_s, **facts, "with": list(with_it), "log": child.last_lines(),
            "ledger": self._sup.operator.overview.ledger(record.name),
            "settings": {**plain(record.settings), "inputs": plain(record.input_settings)},
        }  # fmt: skip
        self.incidents.append(incident)
        if len(self.incidents) > WHOLE_INCIDENTS:  # so that the state stays small however often something dies
            self.incidents[-WHOLE_INCIDENTS - 1].update(log=[], ledger=[], settings={})
        self._sup.log(said, event="died", level="error", **facts)
        self._sup.operator.publish({"kind": "incident", "message": said, **incident})

    def _bury(self, record: NodeRecord) -> None:
        """What is left of the incarnation is its board; the next one comes."""
        path = self._sup.run.board_path(record.name, record.incarnation)
        record.dead = [*([Reading.added(record.dead)] if record.dead else []), Reading(path)]  # two, however many died
        path.unlink(missing_ok=True)
        record.incarnation += 1
        record.phase = Phase.RESTARTING

    def _retry(self, records: Sequence[NodeRecord]) -> None:
        """All of a process at once, when the most unlucky of them may."""
        wait_s = max((record.backoff_s() for record in records), default=0.0)
        for record in records:
            record.retry_s = time.monotonic() + wait_s

    def _beyond_repair(self, record: NodeRecord, cause: str) -> bool:
        """A death that no restart mends: a node that cannot start, or any death offline, where nothing may be lost."""
        said = record.said
        crashed = not said or said.get("cause") == "crash"
        if self._sup.live and (self._sup.started or (crashed and record.failures < MAX_START_FAILURES)):
            if not (record.spec.optional and said.get("cause") == "DeviceError"):
                return False
        if record.spec.optional:
            self._mark_absent(record, cause)
            return True
        error = NodeError(f"node {record.name!r}: {cause}")
        if not crashed:
            error.exit_code = int(said.get("exit_code", error.exit_code))  # the cause's own code
        self._sup.give_up(error)
        return True

    def _mark_absent(self, record: NodeRecord, cause: str) -> None:
        record.phase, record.note = Phase.ABSENT, cause
        said = f"{record.name} is left out: {cause}"
        self._sup.log(said, event="left_out", level="warning", node=record.name, cause=cause)
        if not self._sup.started:
            if all(other.ready or other.phase is Phase.ABSENT for other in self._sup.nodes.values()):
                self._sup.start_all()
            return
        for name in self._sup.nodes:
            self._sup.tell(name, {"op": "absent", "node": record.name})

    def _restart_due(self, now_s: float) -> None:
        waiting = [record for record in self._sup.nodes.values() if record.retry_s is not None]
        for records in self._processes(record.name for record in waiting if now_s >= (record.retry_s or 0)):
            for record in records:
                if record.name in self._sup.transports:
                    self._sup.operator.before_restart(record.name)
            self.launch(records, self._sup.run)
        if self._sup.started and all(r.retry_s is None and r.ready for r in self._sup.nodes.values() if r.child):
            self._spares.prepare()

    # -- watch --------------------------------------------------------------------------------------

    def _watch(self, now_s: float) -> None:
        """Kills what hangs: a start that does not end, a loop that does not turn."""
        if now_s < self._next_watch_s:
            return
        overslept = now_s - self._next_watch_s > OVERSLEPT_S
        self._next_watch_s = now_s + WATCH_S
        if overslept:  # the host stood still, and the nodes with it: they get the time to say so
            return
        for child, records in by_child([*self._sup.nodes.values(), *self._sup.editor.joining.values()]):
            for record in records:
                said = self._stuck(record, records, now_s)
                if said:
                    self._end(child, record, said, "hang")
                    break
        self._watch_for_stall()

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
            return late_start(record, fellows, now_s)
        if record.phase not in (Phase.RUNNING, Phase.ENDED) or not all(fellow.ready for fellow in fellows):
            return ""
        return hangs(record, self._signs(record), time.monotonic_ns(), live=self._sup.live, alone=len(fellows) == 1)

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
        for child, records in by_child(self._sup.nodes.values()):
            cpu, rss_mb = self._usage.cpu(child.pid), self._usage.rss_mb(child.pid)
            for record in records:
                record.cpu, record.rss_mb = cpu, rss_mb
            if len(records) > 1:
                share_cpu(records, cpu, [self._signs(record) for record in records])

    def close(self) -> None:
        """Ends everybody: asked first, then not."""
        everybody = [*self._sup.nodes.values(), *self._sup.editor.joining.values(), *self._sup.editor.leaving.values()]
        for record in everybody:
            if record.child is not None:
                self._sup.send(record.address, {"op": "stop"})
        deadline = time.monotonic() + 3
        for child, _ in by_child(everybody):
            if not child.wait(max(deadline - time.monotonic(), 0.05)):
                child.kill()
                child.wait(2)
        self._spares.close()


def _anchors(board: Reading) -> dict[str, list[int]]:
    found = board.under("anchor.")
    return {name: [int(value), int(board.get(f"anchor_generation.{name}", 0))] for name, value in found.items()}


def _cause_of(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
