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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zmq

from audio_pipeline import threads
from audio_pipeline.clock import ClockLine, ClockRecord, start_clocks
from audio_pipeline.control.client import Client
from audio_pipeline.control.codec import encode, request
from audio_pipeline.errors import ConfigError, NodeError, PipelineError, WireError
from audio_pipeline.graph.load import Graph
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.graph.regions import clocks_of
from audio_pipeline.host import runtime
from audio_pipeline.host.limits import allow_files
from audio_pipeline.links.messages import A_TURN
from audio_pipeline.links.socket_guard import SocketGuard
from audio_pipeline.links.waker import Waker
from audio_pipeline.packed import BYTES
from audio_pipeline.supervisor.control_server import ControlServer
from audio_pipeline.supervisor.editor import Editor
from audio_pipeline.supervisor.helper import Helper
from audio_pipeline.supervisor.housekeeping import Housekeeping
from audio_pipeline.supervisor.incidents import clipped
from audio_pipeline.supervisor.interpreter import check_interpreters
from audio_pipeline.supervisor.jobs import Run, start_words
from audio_pipeline.supervisor.node_messages import NodeMessages
from audio_pipeline.supervisor.parking import failed_sentence
from audio_pipeline.supervisor.process_manager import ProcessManager
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.supervisor.shortage import Steps
from audio_pipeline.supervisor.transport import Transports
from audio_pipeline.supervisor.writing import WRITE_S, is_writing

FINISH_S = 5.0
POLL_MS = 50
LINE_CHARACTERS = 2_000  # of the log
SEND_QUEUE = 256  # messages for one client or node; whoever does not read loses what is beyond
HEAR_S = 0.02  # for words, between two looks at the nodes


class Supervisor:
    """One running pipeline."""

    def __init__(
        self,
        graph: Graph,
        *,
        offline: bool = False,
        duration_s: float | None = None,
        folder: Path | None = None,
        schedule: Mapping[str, list[list[Any]]] | None = None,
    ) -> None:
        self.graph = graph
        self.live = not offline
        self.duration_s = duration_s
        self.folder = folder or Path.cwd()
        self.schedule = dict(schedule or {})
        self.error: PipelineError | None = None
        self.exit_code = 0
        self.log_lines: deque[str] = deque(maxlen=200)
        self.listeners: list[Callable[[dict[str, Any]], None]] = []  # are told every event, in the supervisor's thread
        self.steps = Steps(self._note_shortage)
        self.helpers: list[Helper] = []  # processes beside the nodes; complete before `start`
        self.revision = 0
        self.master = clocks_of(graph, live=self.live).master
        self.nodes = {
            name: NodeRecord(spec, spec.settings, dict(spec.input_settings), schedule=list(self.schedule.get(name, ())))
            for name, spec in graph.nodes.items()
        }
        self.transports = Transports(graph)
        self._token = secrets.token_hex(16)
        self._waker = Waker()
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._up = threading.Event()
        self.finishing_s: float | None = None
        self._started_s: float | None = None
        self._final: dict[str, Any] | None = None
        self.control_server = ControlServer(self)
        self.editor = Editor(self)
        self._node_words = NodeMessages(self)

    # -- for the caller ---------------------------------------------------------------------------

    def start(self) -> None:
        """Starts everything in the supervisor's own thread. Raises what could not be set up."""
        allow_files(len(self.graph.nodes))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"folder {str(self.folder)!r} cannot be made: {error.strerror}") from error
        check_interpreters(self.graph)
        threads.start(self._main, "supervisor", daemon=False)
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

    def client(self) -> Client:
        """A control client for this pipeline."""
        return Client(self.run_dir.control, self._token)

    @property
    def access(self) -> dict[str, str]:
        """Where a control client connects, and its token."""
        return {"endpoint": self.run_dir.control, "token": self._token}

    def final_state(self) -> dict[str, Any]:
        """The last state, after the end."""
        return self._final or {}

    # -- the thread -------------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            self._set_up()
        except Exception as error:  # noqa: BLE001 - planning asks nodes, and their mistakes must not leave `start` waiting
            self.error = _refusal(error, "cannot start")
            self.exit_code = self.error.exit_code
            self._abandon()
            self._up.set()
            self._ended.set()
            return
        self._up.set()
        try:
            self._play()
            self._tear_down()
        except Exception as error:  # noqa: BLE001 - a mistake at the end is told, and nobody waits for it
            self.give_up(_refusal(error, "ended badly"))
        finally:
            self._ended.set()

    def _play(self) -> None:
        try:
            while not self._over():
                self._turn()
        except Exception as error:  # noqa: BLE001 - nothing more to be had, or a mistake: what plays is ended and it is said
            self.give_up(_refusal(error, "the pipeline cannot go on"))

    def _set_up(self) -> None:
        self.run_dir = runtime.create(self.graph.name, self._token)
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 200)
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self._socket.setsockopt(zmq.MAXMSGSIZE, 1 << 22)
        self._socket.setsockopt(zmq.SNDHWM, SEND_QUEUE)
        self._socket.bind(self.run_dir.control)
        self._guard = SocketGuard(self.run_dir.path, runtime.CONTROL)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._waker.fd, zmq.POLLIN)
        plan = make_plan(self.graph, live=self.live)
        self.run = Run(plan, self.run_dir.path, self.folder, self.run_dir.endpoint, self.run_dir.control, self._token)
        self.run.add_clocks()
        self.clock = ClockRecord(self.run.clock_path)
        self.housekeeping = Housekeeping(self, self._token)
        self.process_manager = ProcessManager(self)

    def _abandon(self) -> None:
        """A start that the system refused half-way leaves no process and no folder."""
        for child in {record.child for record in self.nodes.values() if record.child is not None}:
            child.kill()
            child.wait(2)
        if hasattr(self, "_context"):
            self._context.destroy(linger=0)
        if hasattr(self, "housekeeping"):
            self.housekeeping.close()
        if hasattr(self, "run_dir"):
            self.run_dir.remove()
        self._waker.close()

    def _turn(self) -> None:
        """Each step by itself: what the system refuses one of them does not keep the others from being done."""
        self._poller.poll(POLL_MS)
        self._waker.clear()
        now_s = time.monotonic()
        with self.housekeeping.enough_files():
            self._attempt("words", lambda: self._take_words(self._hear))
            self.housekeeping.turn(now_s)
            self._attempt("processes", lambda: self.process_manager.turn(now_s))
            self._attempt("a change of the graph", lambda: self.editor.turn(now_s))
            self.steps.attempt("sockets", lambda: self._guard_sockets(now_s))
        self._end_in_time(now_s)

    def _attempt(self, name: str, step: Callable[[], object]) -> None:
        """A shortage ends a start, with a sentence: nobody would do again what it kept from being done."""
        if self.started:
            self.steps.attempt(name, step)
        else:
            step()

    def _note_shortage(self, step: str, reason: str) -> None:
        """The system has too little of something: said, and tried again with the next turn."""
        said = f"{step}: {reason}; it is tried again"
        self.log(said, event="shortage", level="error", step=step, cause=reason)
        self.process_manager.note_shortage(said)

    def _take_words(self, hear: Callable[[bytes, bytes], None]) -> None:
        """Words that have come, for a while: whoever asks faster than is answered must not keep us from the nodes."""
        until_s = time.monotonic() + HEAR_S
        for _ in range(A_TURN):
            if not self._socket.poll(0) or time.monotonic() > until_s:
                return
            sender, *parts = self._socket.recv_multipart()
            hear(sender, parts[-1] if parts else b"")

    def _guard_sockets(self, now_s: float) -> None:
        """A socket that another process has taken is taken back: by its node's successor, or here."""
        records = [record for record in self.nodes.values() if record.phase is Phase.RUNNING and record.ready]
        owners = {record.name: record.child.pid for record in records if record.child is not None}
        for name, socket in self._guard.turn(now_s, owners).items():
            self.log(f"another process has taken the socket {socket} in {self.run_dir.path}; {name} is restarted")
            (self.run_dir.path / socket).unlink(missing_ok=True)  # consumers must find the successor, not the thief
            child = self.nodes[name].child
            if child is not None:
                child.kill()
        if self._guard.control_taken:
            self.log(f"the control socket in {self.run_dir.path} was taken or removed; it is bound again")
            self._bind_control_again()

    def _bind_control_again(self) -> None:
        try:
            self._socket.bind(self.run_dir.control)  # a second time: an unbind would remove the new file, later
        except zmq.ZMQError as error:
            self.log(f"the control socket cannot be bound again now: {error}")
        else:
            self._guard.took_back()

    def bind_again(self, name: str, ports: list[str]) -> None:
        """The files of a node's sockets were removed: it binds them anew, and nobody is restarted."""
        self.log(f"sockets of {name} were removed from {self.run_dir.path}; it binds them again")
        self._guard.expect(name)
        self.tell(name, {"op": "bind", "ports": ports})

    # -- what is heard ----------------------------------------------------------------------------

    def _hear(self, sender: bytes, message: bytes) -> None:
        try:
            word = request(message)
        except WireError as error:
            self.send(sender, {"ok": False, "error": str(error)})
            return
        if not secrets.compare_digest(str(word.get("token", "")).encode(errors=BYTES), self._token.encode()):
            self.send(sender, {"id": word.get("id"), "ok": False, "error": "wrong token"})
        elif "node" in word and "v" not in word:
            self._node_words.hear(word)
        else:
            self.control_server.request(sender, word)

    def send(self, to: bytes, word: Mapping[str, Any]) -> None:
        """Sends a word to a client or a node; one that has gone misses it."""
        self._socket.send_multipart([to, encode(dict(word))])

    def tell(self, name: str, word: Mapping[str, Any]) -> None:
        """Sends a command to a node's present process."""
        self.send(self.nodes[name].address, word)

    def start_all(self) -> None:
        """Everybody is ready: the true latencies are known, the clock starts."""
        latencies = {name: record.latency for name, record in self.nodes.items() if record.latency is not None}
        try:
            self.run.plan = make_plan(self.graph, latencies, live=self.live)
        except ConfigError as error:
            self.give_up(error)
            return
        start_clocks(self.run.clocks, ClockLine(0.0, time.monotonic_ns(), float(self.graph.rate)))
        self._started_s = time.monotonic()
        for name in reversed(self.run.plan.order):
            if self.nodes[name].ready:
                self.start_node(self.nodes[name])

    def start_node(self, record: NodeRecord) -> None:
        """The clock runs: it begins to work."""
        self.tell(record.name, start_words(self.run.plan, record.name, self.absent()))
        if record.phase in (Phase.RESTARTING, Phase.FAILED):
            self.log(f"{record.name} is back", event="back", node=record.name, incarnation=record.incarnation)
        record.phase = Phase.RUNNING
        self.control_server.changed()

    def absent(self) -> list[str]:
        """Optional nodes that are not there, and parked ones that nobody waits for."""
        released = self.process_manager.parked.released
        return [name for name, record in self.nodes.items() if record.phase is Phase.ABSENT or name in released]

    def log(self, message: str, **fields: Any) -> None:
        """One line for whoever watches; `fields` (event, level, node, ...) are for those who read logs by machine."""
        message = clipped(message, LINE_CHARACTERS)
        self.log_lines.append(message)
        self.control_server.publish({"kind": "log", "message": message, **fields})

    def give_up(self, error: PipelineError) -> None:
        self.error, self.exit_code = error, error.exit_code
        self._stop.set()
        self.finishing_s = self.finishing_s or time.monotonic() - FINISH_S + 1.0

    @property
    def started(self) -> bool:
        """True once everybody was ready and the clock runs."""
        return self._started_s is not None

    def wake(self) -> None:
        """Makes the supervisor look around soon; from any thread."""
        self._waker.wake()

    # -- the end --------------------------------------------------------------------------------------

    @property
    def uptime_s(self) -> float:
        """Since the clock started."""
        return 0.0 if self._started_s is None else time.monotonic() - self._started_s

    def _end_in_time(self, now_s: float) -> None:
        if self.finishing_s is not None:
            return
        over = self.live and self.duration_s is not None and self.uptime_s >= self.duration_s
        if over or self._stop.is_set():
            self.finishing_s = now_s
            for name in self.nodes:
                self.tell(name, {"op": "finish"})

    def _over(self) -> bool:
        everyone = [record for record in self.nodes.values() if record.phase is not Phase.ABSENT]
        everyone = [record for record in everyone if not record.spec.cls.service] or everyone
        if all(record.phase in (Phase.ENDED, Phase.FAILED) for record in everyone):
            return True
        if self.finishing_s is None:
            return False
        late_s = time.monotonic() - self.finishing_s
        return late_s > WRITE_S or (late_s > FINISH_S and not any(is_writing(self, record) for record in everyone))

    def _tell_of_parked(self) -> None:
        """A pipeline that ended without one of its nodes says so, and its exit code does."""
        lost = [failed_sentence(self.nodes[name].note) for name in self.process_manager.parked.names()]
        if lost and self.error is None:
            self.error = NodeError(f"it ended without what had failed: {'; '.join(lost)}")
            self.exit_code = self.error.exit_code

    def _tear_down(self) -> None:
        self.process_manager.close()
        self._tell_of_parked()
        self.housekeeping.close()
        try:
            self._final = {**self.control_server.overview.state(), "ended": True}
            self.control_server.farewell()
            self.editor.farewell()
            self._take_words(self.control_server.too_late)  # so that nobody waits for an answer in vain
        finally:
            self._socket.close()
            self._context.term()
            self.clock.close()
            self._waker.close()
            self.run_dir.remove()


def _refusal(error: Exception, what: str) -> PipelineError:
    """Why a pipeline did not start or cannot go on, as a sentence."""
    if isinstance(error, PipelineError):
        return error
    system = isinstance(error, (OSError, zmq.ZMQError))
    return PipelineError(f"{what}: {error}" if system else f"{what}: {type(error).__name__}: {error}")
