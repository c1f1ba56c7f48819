"""The lives of the nodes' processes: launch, death, back-off, hang, absence."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import psutil

from audio_pipeline.desired import MAX_FAILURES, NodeRecord, Phase
from audio_pipeline.errors import NodeError
from audio_pipeline.jobs import make_job
from audio_pipeline.metrics import Reading
from audio_pipeline.process import Spares, broods

if TYPE_CHECKING:
    from audio_pipeline.supervisor import Supervisor

START_DEADLINE_S = 120.0
HANG_S = 2.0  # live, without a beat, or three times the worst step seen
OFFLINE_HANG_S = 60.0  # where a step may be a whole inference of 12 s of sound on a busy machine
SAMPLE_S = 1.0
WATCH_S = 0.5
MAX_START_FAILURES = 2  # crashes in a row before it was ever up; one more and it is given up


class Nursery:
    """Keeps a process alive for each node. Lives in the supervisor's thread, since processes die with it."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._sup = supervisor
        self.incidents: list[dict[str, Any]] = []
        self._exits: deque[tuple[str, int, int]] = deque()
        self._next_sample_s = self._next_watch_s = 0.0
        self._processes: dict[int, psutil.Process] = {}
        self._spares = Spares(broods(supervisor.graph), supervisor.run_dir.path, supervisor.run_dir.add_pid)
        for name in supervisor.run.plan.order:
            self._launch(supervisor.nodes[name])

    def turn(self, now_s: float) -> None:
        """Looks after everybody."""
        while self._exits:
            self._on_exit(*self._exits.popleft())
        self._restart_due(now_s)
        self._watch(now_s)
        self._sample(now_s)

    def prepare_spare(self) -> None:
        """Has a process ready for whoever dies next."""
        self._spares.prepare()

    def _launch(self, record: NodeRecord) -> None:
        """Gives a process the node's job, with everything its predecessor knew."""
        self._sup.run.add_clocks()
        desired = self._desired(record)
        job = make_job(self._sup.run, record.name, incarnation=record.incarnation, **desired)
        record.ready, record.retry_s, record.said = False, None, {}
        record.started_s = time.monotonic()
        record.child = self._spares.take(record.spec.keys.python)
        number = record.incarnation

        def gone(code: int) -> None:
            self._exits.append((record.name, number, code))
            self._sup.wake()

        record.child.give(job, gone)

    def _desired(self, record: NodeRecord) -> dict[str, Any]:
        wanted: dict[str, Any] = {
            "settings": record.settings, "input_settings": record.input_settings, "state": record.state,
            "generations": {name: transport.generation for name, transport in self._sup.transports.items()},
            "schedule": self._sup.schedule.get(record.name, []),
        }  # fmt: skip
        if record.name in self._sup.transports and not self._sup.live and self._sup.duration_s is not None:
            wanted["end_position"] = round(self._sup.duration_s * self._sup.graph.rate)
        if record.incarnation:
            wanted["anchors"] = _anchors(record.dead[-1]) if record.dead else {}
            if record.name in self._sup.transports:
                wanted["transport"] = self._sup.operator.resume_words(record.name)
                wanted["state"] = {**record.state, **wanted["transport"]}
        return wanted

    def _on_exit(self, name: str, incarnation: int, code: int) -> None:
        record = self._sup.nodes[name]
        if incarnation != record.incarnation or record.child is None:
            return
        last_lines, pid = record.child.last_lines(), record.child.pid
        record.child = None
        self._sup.operator.farewell(name)
        if record.phase is Phase.ENDED or self._sup.finishing_s is not None:
            if record.phase is not Phase.ENDED:  # it died during the end: its consumers need not wait for it
                record.phase = Phase.ENDED
                for other in self._sup.nodes:
                    self._sup.tell(other, {"op": "absent", "node": name})
            return
        said = record.said
        cause = str(said.get("error") or _cause_of(code))
        if self._beyond_repair(record, said, cause):
            return
        self.incidents.append(
            {"time_s": self._sup.uptime_s, "node": name, "pid": pid, "cause": cause, "log": last_lines}
        )
        self._sup.log(f"{name} died ({cause}), restarting")
        record.dead.append(Reading(self._sup.run.board_path(name, incarnation)))
        record.failures = 1 if record.healthy else record.failures + 1
        record.incarnation += 1
        if record.failures > MAX_FAILURES:
            record.phase = Phase.FAILED
            self._sup.give_up(NodeError(f"node {name!r} failed {MAX_FAILURES} times in a row: {cause}"))
            return
        record.phase = Phase.RESTARTING
        record.retry_s = time.monotonic() + record.backoff_s()

    def _beyond_repair(self, record: NodeRecord, said: Mapping[str, Any], cause: str) -> bool:
        """A death that no restart mends: a node that cannot start, or any death offline, where nothing may be lost."""
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
        self._sup.log(f"{record.name} is left out: {cause}")
        if not self._sup.started:
            if all(other.ready or other.phase is Phase.ABSENT for other in self._sup.nodes.values()):
                self._sup.start_all()
            return
        for name in self._sup.nodes:
            self._sup.tell(name, {"op": "absent", "node": record.name})

    def _restart_due(self, now_s: float) -> None:
        for record in self._sup.nodes.values():
            if record.retry_s is not None and now_s >= record.retry_s:
                if record.name in self._sup.transports:
                    self._sup.operator.before_restart(record.name)
                self._launch(record)
        if self._sup.started and all(r.retry_s is None and r.ready for r in self._sup.nodes.values() if r.child):
            self._spares.prepare()

    def _watch(self, now_s: float) -> None:
        """Kills what hangs: a start that does not end, a loop that does not turn."""
        if now_s < self._next_watch_s:
            return
        self._next_watch_s = now_s + WATCH_S
        for record in self._sup.nodes.values():
            if record.child is None:
                continue
            if not record.ready and now_s - record.started_s > START_DEADLINE_S:
                record.said = {"error": f"did not start within {START_DEADLINE_S:g} s", "cause": "hang"}
                record.child.kill()
            elif record.ready and record.phase in (Phase.RUNNING, Phase.ENDED) and self._hangs(record):
                record.said = {"error": "hung: its loop did not turn", "cause": "hang"}
                record.child.kill()

    def _hangs(self, record: NodeRecord) -> bool:
        least_s = HANG_S if self._sup.live else OFFLINE_HANG_S
        age_s = time.monotonic() - record.started_s
        if age_s < least_s:
            return False
        board = Reading(self._sup.run.board_path(record.name, record.incarnation))
        beat, worst = board.get("beat_ns", 0), board.get("worst_step_ns", 0)
        return beat > 0 and time.monotonic_ns() - beat > max(least_s * 1e9, 3 * worst)

    def _sample(self, now_s: float) -> None:
        """Once a second: CPU and memory of each process."""
        if now_s < self._next_sample_s:
            return
        self._next_sample_s = now_s + SAMPLE_S
        for record in self._sup.nodes.values():
            if record.child is None:
                continue
            try:
                process = self._process(record.child.pid)
                record.cpu = process.cpu_percent() / 100
                record.rss_mb = process.memory_info().rss / 1e6
            except psutil.Error:
                self._processes.pop(record.child.pid, None)

    def _process(self, pid: int) -> psutil.Process:
        if pid not in self._processes:
            self._processes[pid] = psutil.Process(pid)
        return self._processes[pid]

    def close(self) -> None:
        """Ends everybody: asked first, then not."""
        for record in self._sup.nodes.values():
            if record.child is not None:
                self._sup.tell(record.name, {"op": "stop"})
        deadline = time.monotonic() + 3
        for record in self._sup.nodes.values():
            if record.child is not None and not record.child.wait(max(deadline - time.monotonic(), 0.05)):
                record.child.kill()
                record.child.wait(2)
        self._spares.close()


def _anchors(board: Reading) -> dict[str, list[int]]:
    found = board.under("anchor.")
    return {name: [int(value), int(board.get(f"anchor_generation.{name}", 0))] for name, value in found.items()}


def _cause_of(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
