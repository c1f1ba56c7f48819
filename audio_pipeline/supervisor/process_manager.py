"""The lives of the nodes' processes: launch, death, back-off, hang, absence."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audio_pipeline.errors import NodeError
from audio_pipeline.graph.job import Job
from audio_pipeline.graph.types import Graph
from audio_pipeline.metrics import Reading
from audio_pipeline.settings import plain
from audio_pipeline.supervisor.incidents import CAUSE_CHARACTERS, Incidents, clipped
from audio_pipeline.supervisor.jobs import Run, make_job
from audio_pipeline.supervisor.parked import Parked
from audio_pipeline.supervisor.parking import PARKED_S
from audio_pipeline.supervisor.process import Child, WorkerPool, worker_specs
from audio_pipeline.supervisor.records import BACKOFF_S, MAX_FAILURES, NodeRecord, Phase
from audio_pipeline.supervisor.shortage import is_shortage, reason_of
from audio_pipeline.supervisor.watch import by_child
from audio_pipeline.supervisor.watchdog import Watchdog
from audio_pipeline.supervisor.writing import WRITE_S, is_writing

if TYPE_CHECKING:
    from audio_pipeline.supervisor.supervisor import Supervisor

MAX_START_FAILURES = 2  # crashes in a row before it was ever up; one more and it is given up
LOGS_KEPT = 50  # of processes that are gone

SPARE_AFTER_S = 2.0  # of the clock: a song begins in the moment when the machine has most to do


class ProcessManager:
    """Keeps a process alive for each node or group. Lives in the supervisor's thread: processes die with it."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._sup = supervisor
        self.incidents = Incidents()
        self._logs: deque[Path] = deque()  # of processes that are gone
        self.parked = Parked(supervisor, self._tell_all)
        self._exits: deque[tuple[Child, int]] = deque()
        self._watchdog = Watchdog(supervisor)
        specs = worker_specs(supervisor.graph)
        self._pool = WorkerPool(specs, supervisor.run_dir.path, supervisor.run_dir.note_children)
        for members in self._processes(supervisor.run.plan.order):
            self.launch(members, supervisor.run)

    def turn(self, now_s: float) -> None:
        """Looks after everybody. What the system refuses one step does not keep the others from being done."""
        while self._exits:
            self._on_exit(*self._exits.popleft())
        self._sup.steps.attempt("restarts", lambda: self._restart_due(now_s))
        self._watchdog.turn(now_s)
        self.parked.release()

    def prepare_worker(self) -> None:
        """Has a process ready for whoever dies next."""
        refused = self._pool.prepare(time.monotonic())
        if refused:
            self._sup.steps.note("a spare process", refused)

    @property
    def pids(self) -> frozenset[int]:
        """Processes that somebody waits for."""
        return self._pool.pids

    @property
    def logs(self) -> list[Path]:
        """What the nodes' processes print into."""
        return self._pool.logs

    def _processes(self, names: Iterable[str]) -> list[list[NodeRecord]]:
        """The records of these nodes, those of a group together, in this order."""
        found: dict[str, list[NodeRecord]] = {}
        for name in names:
            record = self._sup.nodes[name]
            found.setdefault(self._sup.run.process_of(record.spec), []).append(record)
        return list(found.values())

    # -- launch -------------------------------------------------------------------------------------

    def learn(self, graph: Graph) -> None:
        """Spare processes import what a changed graph needs from now on."""
        self._pool.learn(worker_specs(graph))

    def launch(self, records: Sequence[NodeRecord], run: Run) -> None:
        """Gives a process the jobs of its nodes, with everything their predecessors knew.

        Raises what the system or a job refuses; then there is no process, and the records are as they were.
        """
        run.add_clocks()
        jobs = [self._job(record, run) for record in records]
        child = self._pool.take(records[0].spec.keys.python)

        def gone(code: int) -> None:
            self._exits.append((child, code))
            self._sup.wake()

        child.give(jobs, gone)
        for record in records:
            record.ready, record.retry_s, record.said = False, None, {}
            record.started_s, record.child, record.busy_ns = time.monotonic(), child, 0.0
            record.revision = self._sup.editor.revision

    def _job(self, record: NodeRecord, run: Run) -> Job:
        return make_job(run, record.name, incarnation=record.incarnation, born=record.born, **self._desired(record))

    def _desired(self, record: NodeRecord) -> dict[str, Any]:
        wanted: dict[str, Any] = {
            "settings": record.settings,
            "input_settings": record.input_settings,
            "state": record.state,
            "generations": {name: transport.generation for name, transport in self._sup.transports.items()},
            "schedule": record.schedule,
        }
        if record.name in self._sup.transports and not self._sup.live and self._sup.duration_s is not None:
            wanted["end_position"] = round(self._sup.duration_s * self._sup.graph.rate)
        wanted["joins"] = record.name in self._sup.editor.joining
        if record.incarnation > record.born:
            wanted["anchors"] = _anchors(record.dead[-1]) if record.dead else {}
            if record.name in self._sup.transports:
                wanted["transport"] = self._sup.control_server.resume_words(record.name)
                wanted["state"] = {**record.state, **wanted["transport"]}
        return wanted

    # -- death --------------------------------------------------------------------------------------

    def _on_exit(self, child: Child, code: int) -> None:
        """All nodes of the process are gone; the one that said why is the cause."""
        records = [record for record in self._sup.nodes.values() if record.child is child]
        for record in records:
            record.child = None
            self._sup.control_server.farewell(record.name)
            self._sup.editor.on_death(record.name)
        for record in self._sup.editor.bystanders(child):
            record.child = None
            self._sup.editor.on_exit(record, str(record.said.get("error") or _cause_of(code)))
        if records and not self._is_over(records):
            self._on_death(records, child, code)
        self._forget_log(child.log)

    def _on_death(self, records: list[NodeRecord], child: Child, code: int) -> None:
        culprit = next((record for record in records if record.said), records[0])
        cause = clipped(str(culprit.said.get("error") or _cause_of(code)), CAUSE_CHARACTERS)
        if self._beyond_repair(culprit, cause):
            if culprit.phase is not Phase.ABSENT:
                return
            records.remove(culprit)
        else:
            self._count_failure(records, culprit, cause, child)
        for record in records:
            self._reap(record)
            self._put_back(record, cause)
        self._go_on(records, culprit, cause)

    def _put_back(self, record: NodeRecord, cause: str) -> None:
        """One that died before it was ready does not get again what was set while it was down."""
        if not record.ready and record.take_back():
            said = f"{record.name} did not start with what was set while it was down ({cause}); that is taken back"
            self._sup.log(said, event="taken_back", level="warning", node=record.name)

    def _go_on(self, records: Sequence[NodeRecord], culprit: NodeRecord, cause: str) -> None:
        """They come back; one that failed too often is parked, and the others of its process come back without it."""
        rest = [record for record in records if record is not culprit]
        if culprit not in records or culprit.failures <= MAX_FAILURES:
            self._retry(records)
            return
        for record in rest:
            record.failures = 0  # it was not theirs
        self._retry(rest)
        self.parked.park(culprit, cause, alone=not rest)

    def _is_over(self, records: Sequence[NodeRecord]) -> bool:
        """True where nobody needs the process any more."""
        if self._sup.finishing_s is None and not all(record.phase is Phase.ENDED for record in records):
            return False
        for record in records:
            if record.phase is not Phase.ENDED:  # it died during the end: its consumers need not wait for it
                record.phase = Phase.FAILED if record.phase is Phase.FAILED else Phase.ENDED
                self._tell_all("absent", record.name)
        return True

    def _tell_all(self, op: str, name: str) -> None:
        for other in self._sup.nodes:
            self._sup.tell(other, {"op": op, "node": name})

    def _count_failure(
        self, records: Sequence[NodeRecord], culprit: NodeRecord, cause: str, child: Child | None
    ) -> None:
        """Notes the incident."""
        with_it = [record.name for record in records if record is not culprit]
        shared = f", and with it {', '.join(with_it)}" if with_it else ""
        again = f", tried again in {PARKED_S:g} s" if culprit.phase is Phase.FAILED else ", restarting"
        self._note_incident(culprit, child, cause, with_it, f"{culprit.name} died ({cause}){shared}{again}")
        for record in records:
            record.failures = 1 if record.healthy else record.failures + 1

    def _note_incident(
        self, record: NodeRecord, child: Child | None, cause: str, with_it: Sequence[str], said: str
    ) -> None:
        """For the report, for whoever watches, and for logs: what died and how, and what became of its frames."""
        pid = child.pid if child is not None else None
        facts = {"node": record.name, "pid": pid, "incarnation": record.incarnation, "cause": cause}
        incident = {
            "time_s": self._sup.uptime_s,
            **facts,
            "with": list(with_it),
            "log": child.last_lines() if child is not None else [],
            "ledger": self._ledger(record.name),
            "settings": {**plain(record.settings), "inputs": plain(record.input_settings)},
        }
        self.incidents.add(incident)
        self._sup.log(said, event="died", level="error", **facts)
        self._sup.control_server.publish({"kind": "incident", "message": said, **incident})

    def note_shortage(self, said: str) -> None:
        """The supervisor itself had too little of something."""
        self.incidents.add(
            {
                "time_s": self._sup.uptime_s,
                "node": "supervisor",
                "pid": os.getpid(),
                "incarnation": 0,
                "cause": said,
                "with": [],
                "log": [],
                "ledger": [],
                "settings": {},
            }
        )

    def _ledger(self, name: str) -> list[dict[str, Any]]:
        """What became of a node's frames; nothing where its boards cannot be read now."""
        found: list[dict[str, Any]] = []
        overview = self._sup.control_server.overview
        self._sup.steps.attempt(f"the ledger of {name}", lambda: found.extend(overview.ledger(name)))
        return found

    def _reap(self, record: NodeRecord) -> None:
        """What is left of the incarnation is its board; the next one comes."""
        read = self.last_board(record)
        record.dead = [*([Reading.added(record.dead)] if record.dead else []), *read]  # two, however many died
        record.incarnation += 1
        record.phase = Phase.FAILED if record.phase is Phase.FAILED else Phase.RESTARTING

    def last_board(self, record: NodeRecord) -> list[Reading]:
        """The board that a process left, which is removed; none where the system does not let us read it."""
        path = self._sup.run.board_path(record.name, record.incarnation)
        read: list[Reading] = []
        self._sup.steps.attempt(f"the last figures of {record.name}", lambda: read.append(self._read(path)))
        with suppress(OSError):
            path.unlink()
        return read

    def _read(self, path: Path) -> Reading:
        return Reading(path, self._sup.housekeeping.descriptor(path))

    def _forget_log(self, log: Path) -> None:
        """Of processes that are gone the newest logs are kept."""
        self._logs.append(log)
        while len(self._logs) > LOGS_KEPT:
            with suppress(OSError):
                self._logs.popleft().unlink()

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
        self._tell_all("absent", record.name)

    def _restart_due(self, now_s: float) -> None:
        waiting = [record for record in self._sup.nodes.values() if record.retry_s is not None]
        for records in self._processes(record.name for record in waiting if now_s >= (record.retry_s or 0)):
            if self._sup.finishing_s is None or not all(record.phase is Phase.FAILED for record in records):
                self._launch_again(records)
        wanted = self._sup.live and self._sup.uptime_s > SPARE_AFTER_S  # offline nobody is replaced
        if wanted and all(r.retry_s is None and r.ready for r in self._sup.nodes.values() if r.child):
            self.prepare_worker()

    def _launch_again(self, records: Sequence[NodeRecord]) -> None:
        """A successor; what the system refuses is a failed try, and another comes after a while."""
        try:
            for record in records:
                if record.name in self._sup.transports:
                    self._sup.control_server.before_restart(record.name)
            self._sup.housekeeping.check_room()
            self.launch(records, self._sup.run)
        except Exception as error:
            if not (isinstance(error, OSError) or is_shortage(error)):
                raise
            cause = clipped(f"no process can be started: {reason_of(error)}", CAUSE_CHARACTERS)
            before = [record.failures for record in records]
            self._count_failure(records, records[0], cause, None)
            if not is_shortage(error):
                self._go_on(records, records[0], cause)
                return
            for record, failures in zip(records, before, strict=True):  # not its fault: it waits, and is not parked
                record.failures = max(failures, min(failures + 1, len(BACKOFF_S)))
            self._retry(records)

    def close(self) -> None:
        """Ends everybody: asked first, then not."""
        everybody = [*self._sup.nodes.values(), *self._sup.editor.joining.values(), *self._sup.editor.leaving.values()]
        for record in everybody:
            if record.child is not None:
                self._sup.send(record.address, {"op": "stop"})
        asked_s = time.monotonic()
        for child, records in by_child(everybody):
            while not child.wait(max(asked_s + 3 - time.monotonic(), 0.05)):
                if time.monotonic() - asked_s > WRITE_S or not any(is_writing(self._sup, each) for each in records):
                    child.kill()
                    child.wait(2)
                    break
        self._pool.close()


def _anchors(board: Reading) -> dict[str, list[int]]:
    found = board.under("anchor.")
    return {name: [int(value), int(board.get(f"anchor_generation.{name}", 0))] for name, value in found.items()}


def _cause_of(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
