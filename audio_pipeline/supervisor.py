"""Starts the nodes of a graph as processes, watches them, restarts them, and answers for them.

The supervisor holds the desired state; a process that dies loses nothing but what was inside it. It runs
in one thread that lives as long as it does, since the kernel's parent-death signal follows the thread
that started a process.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import zmq

from audio_pipeline import runtime
from audio_pipeline.clock import ClockLine, ClockRecord
from audio_pipeline.control import ControlClient, decode, encode
from audio_pipeline.desired import MAX_FAILURES, NodeRecord, Phase
from audio_pipeline.errors import ConfigError, NodeError, PipelineError, WireError
from audio_pipeline.graph import Graph
from audio_pipeline.jobs import Run, make_job, start_words
from audio_pipeline.metrics import Reading
from audio_pipeline.node import Latency, Source
from audio_pipeline.operator import Operator
from audio_pipeline.plan import make_plan
from audio_pipeline.process import Spares
from audio_pipeline.transport import Transport
from audio_pipeline.waker import Waker

START_DEADLINE_S = 120.0
HANG_S = 2.0  # without a beat, or three times the worst step seen
FINISH_S = 5.0
POLL_MS = 50
SAMPLE_S = 1.0


class Supervisor:
    """One running pipeline."""

    def __init__(self, graph: Graph, *, offline: bool = False, duration_s: float | None = None,
                 folder: Path | None = None, schedule: Mapping[str, list[list[Any]]] | None = None) -> None:  # fmt: skip
        self.graph = graph
        self.live = not offline
        self.duration_s = duration_s
        self.folder = folder or Path.cwd()
        self.schedule = dict(schedule or {})
        self.error: PipelineError | None = None
        self.exit_code = 0
        self.incidents: list[dict[str, Any]] = []
        self.log_lines: deque[str] = deque(maxlen=200)
        self.revision = 0
        self.master = _choose_master(graph, self.live)
        self.nodes = {name: NodeRecord(spec, spec.settings, dict(spec.input_settings)) for name, spec in graph.nodes.items()}
        self.transports = {
            name: Transport(loop=bool(getattr(spec.settings, "loop", False)))
            for name, spec in graph.nodes.items() if issubclass(spec.cls, Source)
        }  # fmt: skip
        self._token = secrets.token_hex(16)
        self._waker = Waker()
        self._exits: deque[tuple[str, int, int]] = deque()
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._up = threading.Event()
        self._finishing_s: float | None = None
        self._started_s: float | None = None
        self._next_sample_s = 0.0
        self._processes: dict[int, psutil.Process] = {}
        self._thread = threading.Thread(target=self._main, name="supervisor")
        self._final: dict[str, Any] | None = None
        self.operator = Operator(self)

    # -- for the caller ---------------------------------------------------------------------------

    def start(self) -> None:
        """Starts everything in the supervisor's own thread. Raises what could not be set up."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        self._up.wait()
        if self.error is not None:
            raise self.error

    def wait(self, timeout_s: float | None = None) -> bool:
        """True when the pipeline has ended and nothing of it is left."""
        return self._ended.wait(timeout_s)

    def stop(self) -> None:
        """Ends it cleanly: sources end, the end travels through the graph, files close. May be called twice."""
        self._stop.set()
        self._waker.wake()

    def client(self) -> ControlClient:
        """A control client for this pipeline."""
        return ControlClient(self.run_dir.control, self._token)

    def final_state(self) -> dict[str, Any]:
        """The last state, after the end."""
        return self._final or {}

    # -- the thread -------------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            self._set_up()
        except PipelineError as error:
            self.error, self.exit_code = error, error.exit_code
            self._up.set()
            self._ended.set()
            return
        self._up.set()
        try:
            while not self._over():
                self._turn()
        finally:
            self._tear_down()
            self._ended.set()

    def _set_up(self) -> None:
        self.run_dir = runtime.create(self.graph.name, self._token)
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 200)
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self._socket.setsockopt(zmq.MAXMSGSIZE, 1 << 22)
        self._socket.bind(self.run_dir.control)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._waker.fd, zmq.POLLIN)
        plan = make_plan(self.graph, live=self.live)
        self.run = Run(plan, self.run_dir.path, self.folder, self.run_dir.endpoint, self.run_dir.control, self._token)
        self.clock = ClockRecord(self.run.clock_path, create=True)
        modules = {module for spec in self.graph.nodes.values() for module in spec.cls.preload(spec.settings)}
        kinds = {spec.cls.__module__ for spec in self.graph.nodes.values() if not spec.cls.__module__.startswith("audio_pipeline_user_")}
        self._spares = Spares(sorted(modules | kinds), self.run_dir.path, self.run_dir.add_pid)
        for name in self.run.plan.order:
            self._launch(self.nodes[name])

    def _launch(self, record: NodeRecord) -> None:
        """Gives a process the node's job, with everything its predecessor knew."""
        job = make_job(self.run, record.name, incarnation=record.incarnation, master=record.name == self.master,
                       **self._desired(record))  # fmt: skip
        record.ready, record.retry_s, record.said = False, None, {}
        record.started_s = time.monotonic()
        record.child = self._spares.take()
        number = record.incarnation

        def gone(code: int) -> None:
            self._exits.append((record.name, number, code))
            self._waker.wake()

        record.child.give(job, gone)

    def _desired(self, record: NodeRecord) -> dict[str, Any]:
        wanted: dict[str, Any] = {
            "settings": record.settings, "input_settings": record.input_settings, "state": record.state,
            "generations": {name: transport.generation for name, transport in self.transports.items()},
            "schedule": self.schedule.get(record.name, []),
        }  # fmt: skip
        if record.incarnation:
            wanted["anchors"] = _anchors(record.dead[-1]) if record.dead else {}
            if record.name in self.transports:
                wanted["transport"] = self.operator.resume_words(record.name)
        return wanted

    def _turn(self) -> None:
        self._poller.poll(POLL_MS)
        self._waker.clear()
        while self._socket.get(zmq.EVENTS) & zmq.POLLIN:
            sender, message = self._socket.recv_multipart()
            self._hear(sender, message)
        while self._exits:
            self._on_exit(*self._exits.popleft())
        now_s = time.monotonic()
        self._restart_due(now_s)
        self._watch(now_s)
        self._sample(now_s)
        self._end_in_time(now_s)

    # -- what is heard ----------------------------------------------------------------------------

    def _hear(self, sender: bytes, message: bytes) -> None:
        try:
            word = decode(message)
        except WireError as error:
            self.send(sender, {"ok": False, "error": str(error)})
            return
        if not secrets.compare_digest(str(word.get("token", "")).encode(), self._token.encode()):
            self.send(sender, {"id": word.get("id"), "ok": False, "error": "wrong token"})
        elif "node" in word and "v" not in word:
            self._from_node(word)
        else:
            self.operator.request(sender, word)

    def send(self, to: bytes, word: Mapping[str, Any]) -> None:
        """Sends a word to a client or a node; one that has gone misses it."""
        self._socket.send_multipart([to, encode(dict(word))])

    def tell(self, name: str, word: Mapping[str, Any]) -> None:
        """Sends a command to a node's present process."""
        self.send(self.nodes[name].address, word)

    def _from_node(self, word: Mapping[str, Any]) -> None:
        record = self.nodes.get(str(word["node"]))
        if record is None:
            return
        handlers = {
            "ready": self._on_ready, "failed": self._on_failed, "ended": self._on_ended,
            "event": self.operator.on_event, "log": self._on_log, "snapshot": self._on_snapshot,
            "reply": self.operator.on_reply,
        }  # fmt: skip
        handler = handlers.get(str(word.get("op")))
        if handler is not None:
            handler(record, word)

    def _on_ready(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        record.ready = True
        record.latency = Latency(*word["latency"])
        record.live = list(word["live"])
        if self._started_s is not None:
            self._start_node(record)
        elif all(other.ready or other.phase is Phase.ABSENT for other in self.nodes.values()):
            self._start_all()

    def _start_all(self) -> None:
        """Everybody is ready: the true latencies are known, the clock starts."""
        latencies = {name: record.latency for name, record in self.nodes.items() if record.latency is not None}
        try:
            self.run.plan = make_plan(self.graph, latencies, live=self.live)
        except ConfigError as error:
            self._give_up(error)
            return
        self.clock.publish(ClockLine(0.0, time.monotonic_ns(), float(self.graph.rate)))
        self._started_s = time.monotonic()
        for name in reversed(self.run.plan.order):
            if self.nodes[name].ready:
                self._start_node(self.nodes[name])
        self._spares.prepare()

    def _start_node(self, record: NodeRecord) -> None:
        self.tell(record.name, start_words(self.run.plan, record.name, self._absent()))
        if record.phase is Phase.RESTARTING:
            self.log(f"{record.name} is back")
        record.phase = Phase.RUNNING
        self.operator.changed()

    def _absent(self) -> list[str]:
        return [name for name, record in self.nodes.items() if record.phase is Phase.ABSENT]

    def _on_failed(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        record.said = dict(word)

    def _on_ended(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        record.phase = Phase.ENDED
        self.operator.changed()

    def _on_log(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        record.note = str(word["message"])
        self.log(f"{record.name}: {word['message']}")

    def _on_snapshot(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        record.state = dict(word["state"])

    def log(self, message: str) -> None:
        """One line for whoever watches."""
        self.log_lines.append(message)
        self.operator.publish({"kind": "log", "message": message})

    # -- deaths and restarts ------------------------------------------------------------------------

    def _on_exit(self, name: str, incarnation: int, code: int) -> None:
        record = self.nodes[name]
        if incarnation != record.incarnation or record.child is None:
            return
        last_lines, pid = record.child.last_lines(), record.child.pid
        record.child = None
        if record.phase is Phase.ENDED or self._finishing_s is not None:
            record.phase = Phase.ENDED
            return
        said = record.said
        cause = str(said.get("error") or _cause_of(code))
        if self._cannot_start(record, said, cause):
            return
        self.incidents.append({"time_s": self.uptime_s, "node": name, "pid": pid, "cause": cause, "log": last_lines})
        self.log(f"{name} died ({cause}), restarting")
        record.dead.append(Reading(self.run.board_path(name, incarnation)))
        record.failures = 1 if record.healthy else record.failures + 1
        record.incarnation += 1
        if record.failures > MAX_FAILURES:
            record.phase = Phase.FAILED
            self._give_up(NodeError(f"node {name!r} failed {MAX_FAILURES} times in a row: {cause}"))
            return
        record.phase = Phase.RESTARTING
        record.retry_s = time.monotonic() + record.backoff_s()

    def _cannot_start(self, record: NodeRecord, said: Mapping[str, Any], cause: str) -> bool:
        """A node that never came up and said why: its own fault, which no restart mends."""
        if self._started_s is not None or not said or said.get("cause") == "crash":
            if not (record.spec.optional and said.get("cause") == "DeviceError"):
                return False
        if record.spec.optional:
            self._mark_absent(record, cause)
            return True
        error = NodeError(f"node {record.name!r}: {cause}")
        error.exit_code = int(said.get("exit_code", error.exit_code))  # the cause's own code
        self._give_up(error)
        return True

    def _mark_absent(self, record: NodeRecord, cause: str) -> None:
        record.phase, record.note = Phase.ABSENT, cause
        self.log(f"{record.name} is left out: {cause}")
        if self._started_s is None:
            if all(other.ready or other.phase is Phase.ABSENT for other in self.nodes.values()):
                self._start_all()
            return
        for name in self.nodes:
            self.tell(name, {"op": "absent", "node": record.name})

    def _give_up(self, error: PipelineError) -> None:
        self.error, self.exit_code = error, error.exit_code
        self._stop.set()
        self._finishing_s = self._finishing_s or time.monotonic() - FINISH_S + 1.0

    def _restart_due(self, now_s: float) -> None:
        for record in self.nodes.values():
            if record.retry_s is not None and now_s >= record.retry_s:
                if record.name in self.transports:
                    self.operator.before_restart(record.name)
                self._launch(record)
        if self._started_s is not None and all(r.retry_s is None and r.ready for r in self.nodes.values() if r.child):
            self._spares.prepare()

    def _watch(self, now_s: float) -> None:
        """Kills what hangs: a start that does not end, a loop that does not turn."""
        for record in self.nodes.values():
            if record.child is None:
                continue
            if not record.ready and now_s - record.started_s > START_DEADLINE_S:
                record.said = {"error": f"did not start within {START_DEADLINE_S:g} s", "cause": "hang"}
                record.child.kill()
            elif record.ready and record.phase in (Phase.RUNNING, Phase.ENDED) and self._hangs(record):
                record.said = {"error": "hung: its loop did not turn", "cause": "hang"}
                record.child.kill()

    def _hangs(self, record: NodeRecord) -> bool:
        age_s = time.monotonic() - record.started_s
        if age_s < HANG_S:
            return False
        board = Reading(self.run.board_path(record.name, record.incarnation))
        beat, worst = board.get("beat_ns", 0), board.get("worst_step_ns", 0)
        return beat > 0 and time.monotonic_ns() - beat > max(HANG_S * 1e9, 3 * worst)

    def _sample(self, now_s: float) -> None:
        """Once a second: CPU and memory of each process."""
        if now_s < self._next_sample_s:
            return
        self._next_sample_s = now_s + SAMPLE_S
        for record in self.nodes.values():
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

    # -- the end --------------------------------------------------------------------------------------

    @property
    def uptime_s(self) -> float:
        """Since the clock started."""
        return 0.0 if self._started_s is None else time.monotonic() - self._started_s

    def _end_in_time(self, now_s: float) -> None:
        if self._finishing_s is not None:
            return
        over = self.live and self.duration_s is not None and self.uptime_s >= self.duration_s
        if over or self._stop.is_set():
            self._finishing_s = now_s
            for name in self.nodes:
                self.tell(name, {"op": "finish"})

    def _over(self) -> bool:
        everyone = [record for record in self.nodes.values() if record.phase is not Phase.ABSENT]
        if all(record.phase in (Phase.ENDED, Phase.FAILED) for record in everyone):
            return True
        return self._finishing_s is not None and time.monotonic() - self._finishing_s > FINISH_S

    def _tear_down(self) -> None:
        if self._final is None:
            self._final = {**self.operator.state(), "ended": True}
        for record in self.nodes.values():
            if record.child is not None:
                self.tell(record.name, {"op": "stop"})
        deadline = time.monotonic() + 3
        for record in self.nodes.values():
            if record.child is not None and not record.child.wait(max(deadline - time.monotonic(), 0.05)):
                record.child.kill()
                record.child.wait(2)
        self._spares.close()
        self.operator.farewell()
        self._final = {**self.operator.state(), "ended": True}
        self._socket.close()
        self._context.term()
        self.clock.close()
        self._waker.close()
        self.run_dir.remove()


def _choose_master(graph: Graph, live: bool) -> str:
    """The clock master: the file's choice, else the first device node, else the host."""
    if graph.top.clock != "auto" or not live:
        return graph.top.clock if live else "host"
    devices = [spec for spec in graph.nodes.values() if spec.cls.clock_source]
    heard = [spec.name for spec in devices if spec.cls.edge] + [spec.name for spec in devices]
    return heard[0] if heard else "host"


def _anchors(board: Reading) -> dict[str, list[int]]:
    found = board.under("anchor.")
    return {name: [int(value), int(board.get(f"anchor_generation.{name}", 0))] for name, value in found.items()}


def _cause_of(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
