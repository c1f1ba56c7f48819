"""Builds the parts of one running pipeline, each from what it uses, and lets each have its turn."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from audio_pipeline.clock import ClockRecord
from audio_pipeline.control.codec import encode, request
from audio_pipeline.control.state import State
from audio_pipeline.errors import PipelineError, WireError
from audio_pipeline.host import runtime
from audio_pipeline.host.keeper import Keeper
from audio_pipeline.host.limits import Reserve
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.links.socket_guard import SocketGuard
from audio_pipeline.packed import BYTES
from audio_pipeline.supervisor.control_server import ControlServer
from audio_pipeline.supervisor.control_socket import Socket
from audio_pipeline.supervisor.ending import Ending
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.failures import Failures
from audio_pipeline.supervisor.graph_parts import GraphParts
from audio_pipeline.supervisor.helper import Helper
from audio_pipeline.supervisor.housekeeping import Housekeeping, Processes
from audio_pipeline.supervisor.incident_reports import IncidentReports
from audio_pipeline.supervisor.incidents import Incidents
from audio_pipeline.supervisor.jobs import Run
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.losses import Losses
from audio_pipeline.supervisor.overview import Overview
from audio_pipeline.supervisor.parked import Parked
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.playhead import Playhead
from audio_pipeline.supervisor.ports import Ports
from audio_pipeline.supervisor.process_manager import ProcessManager
from audio_pipeline.supervisor.reaper import Reaper
from audio_pipeline.supervisor.records import NodeRecord, Process
from audio_pipeline.supervisor.restarts import Restarts
from audio_pipeline.supervisor.shortage import Steps
from audio_pipeline.supervisor.socket_watch import SocketWatch
from audio_pipeline.supervisor.subscriptions import Subscriptions
from audio_pipeline.supervisor.transaction import KILL_S
from audio_pipeline.supervisor.watch import by_child
from audio_pipeline.supervisor.watchdog import Watchdog


class Workers(Processes, Protocol):
    """Processes for nodes; see `Launcher`."""

    def launch(self, records: Sequence[NodeRecord], run: Run) -> None:
        """Gives a process the jobs of its nodes."""

    def exits(self) -> Iterator[tuple[Process, int]]:
        """Processes that have ended, and their exit codes."""

    def prepare(self, now_s: float) -> str:
        """Has a process ready."""

    def close(self) -> None:
        """Ends those without a job."""


@dataclass(frozen=True)
class Ground:
    """What the parts are built on; it knows none of them."""

    state: PipelineState
    life: Lifecycle
    events: EventStream
    incidents: Incidents
    steps: Steps
    socket: Socket
    run_dir: RunDir
    clock: ClockRecord
    token: str


class Assembly:
    """The parts of one pipeline. Lives in the supervisor's thread."""

    def __init__(self, ground: Ground, workers: Workers, helpers: Sequence[Helper]) -> None:
        state, life, events, steps = ground.state, ground.life, ground.events, ground.steps
        send = ground.socket.send
        self._workers, self._socket, self._token = workers, ground.socket, ground.token
        self.state, self.life, self.events, self.steps = state, life, events, steps
        self.incidents = ground.incidents
        self.playhead = Playhead(state, send)
        guard = SocketGuard(ground.run_dir.path, runtime.CONTROL)
        self.sockets = SocketWatch(state, events, ground.socket, guard)
        keeper, self._reserve = Keeper(ground.run_dir, ground.token), Reserve()
        self.housekeeping = Housekeeping(
            state, events, steps, ground.run_dir, keeper, helpers, workers, self.sockets.bind_again
        )
        self.reaper = Reaper(state, steps, keeper.descriptor)
        ports = Ports(send, workers.launch, time.monotonic_ns)
        parts = GraphParts(state, life, events, self.playhead, ports, self.reaper.last_board)
        self.starter, self.transaction, self.editor = parts.starter, parts.transaction, parts.editor
        self.node_requests, self.node_messages, self.departed = parts.node_requests, parts.node_messages, parts.departed
        self.overview = Overview(
            state, life, events, ground.incidents, self.playhead, ground.clock, ground.run_dir.name
        )
        send_bytes = ground.socket.send_bytes
        self.subscriptions = Subscriptions(self.overview, events.kept, send_bytes)
        self.control_server = ControlServer(
            state, life, events, self.editor, self.overview, self.node_requests, self.subscriptions, send_bytes
        )
        self._watch_processes(ground)
        self.ending = Ending(state, life, send)

    def _watch_processes(self, ground: Ground) -> None:
        state, life, events, steps = ground.state, ground.life, ground.events, ground.steps
        send = ground.socket.send
        self.parked = Parked(state, life, events, send)
        reports = IncidentReports(life, events, ground.incidents, steps, self.overview.node_ledger)
        failures = Failures(reports, self.parked)
        losses = Losses(state, life, events, self.starter, send)
        self.process_manager = ProcessManager(
            state, events, self.transaction, losses, failures, self.reaper, self.node_requests.forget
        )
        workers, reserve = self._workers, self._reserve
        self.restarts = Restarts(
            state, life, self.playhead, failures, workers.launch, reserve.check, workers.prepare, steps
        )
        self.watchdog = Watchdog(state, life, events, steps)

    # -- a turn -------------------------------------------------------------------------------------------

    def turn(self, now_s: float) -> None:
        """Each step by itself: what the system refuses one of them does not keep the others from being done."""
        with self._reserve.released():  # whoever has taken the rest
            self._attempt("messages", self._receive_all)
            self.housekeeping.turn(now_s)
            self._attempt("processes", lambda: self.turn_processes(now_s))
            self._attempt("a change of the graph", self.transaction.turn)
            self.steps.attempt("subscriptions", lambda: self.subscriptions.turn(now_s))
            self.steps.attempt("sockets", lambda: self.sockets.turn(now_s))
        self.ending.turn(now_s)

    def _attempt(self, name: str, step: Callable[[], object]) -> None:
        """A shortage ends a start, with a sentence: nobody would do again what it kept from being done."""
        if self.life.started:
            self.steps.attempt(name, step)
        else:
            step()

    def turn_processes(self, now_s: float) -> None:
        """Deaths, restarts, what hangs, and what is parked."""
        for child, code in self._workers.exits():
            if child.last_notice is not None:
                self.receive(b"", child.last_notice)
            self.process_manager.on_exit(child, code)
        self.steps.attempt("restarts", lambda: self.restarts.turn(now_s))
        self.watchdog.turn(now_s)
        self.parked.release()

    def _receive_all(self) -> None:
        for sender, message in self._socket.receive():
            self.receive(sender, message)

    def receive(self, sender: bytes, message: bytes) -> None:
        """A message of a client or a node; one without the token is refused."""
        try:
            content = request(message)
        except WireError as error:
            self._refuse(sender, {"ok": False, "error": str(error)})
            return
        if not secrets.compare_digest(str(content.get("token", "")).encode(errors=BYTES), self._token.encode()):
            self._refuse(sender, {"id": content.get("id"), "ok": False, "error": "wrong token"})
        elif "node" in content and "v" not in content:
            self.node_messages.receive(content, sender)
        else:
            self.control_server.request(sender, content, message)

    def _refuse(self, sender: bytes, reply: Mapping[str, object]) -> None:
        if sender:  # else it is a last notice: nobody is left who waits
            self._socket.send_bytes(sender, encode(reply))

    # -- the end ------------------------------------------------------------------------------------------

    def _close_files(self) -> None:
        self.housekeeping.close()
        self._reserve.close()

    def abandon(self) -> None:
        """A start that the system refused half-way leaves no process."""
        for child, _ in by_child(self.state.records()):
            child.kill()
            child.wait(KILL_S)
        self._workers.close()
        self._close_files()

    def close(self) -> State:
        """Ends all processes, answers whoever still waits, and gives the last state."""
        self.ending.end_processes()
        self._workers.close()
        self.ending.note_failed()
        self._close_files()
        state = self.overview.state()
        state = replace(state, meters=replace(state.meters, ended=True))
        self.subscriptions.end(time.monotonic())
        self.node_requests.forget()
        self.transaction.abandon(PipelineError("the pipeline ended"))
        for sender, message in self._socket.receive():
            self.control_server.refuse(sender, message)
        return state
