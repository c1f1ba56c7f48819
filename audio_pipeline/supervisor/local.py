"""Runs a whole graph in one thread under an injected clock: tests, and weeks of radio in minutes.

The same runner, links and credit as in processes, over ZeroMQ's inproc transport; the same start and the same editor
as the supervisor has, over `LocalNodes` in place of processes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audio_pipeline.clock import ClockLine, ClockRecord, VirtualClock, start_clocks
from audio_pipeline.errors import NodeError, PipelineError
from audio_pipeline.graph.edit import edited
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.graph.types import Graph
from audio_pipeline.metrics import Reading
from audio_pipeline.supervisor.change import Outcome
from audio_pipeline.supervisor.departed import Departed
from audio_pipeline.supervisor.editor import Editor
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.job_maker import JobMaker
from audio_pipeline.supervisor.jobs import Run, make_job
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.local_nodes import LocalNodes
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.playhead import Playhead
from audio_pipeline.supervisor.ports import Ports
from audio_pipeline.supervisor.reaper import Reaper
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.supervisor.relinker import Relinker
from audio_pipeline.supervisor.shortage import Steps
from audio_pipeline.supervisor.starter import Starter
from audio_pipeline.supervisor.transaction import Transaction
from audio_pipeline.worker.runner import NodeRunner

MAX_TURNS = 10_000
MAX_IDLE_TURNS = 1_000


class LocalGraph:
    """All nodes of a graph in this thread.

    By name: `work_ms` is how long a call of a node's `process` takes, `schedule` its [position, setting, value].
    """

    def __init__(
        self,
        graph: Graph,
        folder: Path,
        *,
        live: bool = False,
        clock: VirtualClock | None = None,
        work_ms: Mapping[str, float] | None = None,
        schedule: Mapping[str, list[list[Any]]] | None = None,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.events: list[dict[str, Any]] = []
        self.log: list[str] = []
        self._temporary = tempfile.TemporaryDirectory(prefix="ap-")
        run = Run(make_plan(graph, live=live), Path(self._temporary.name), folder, _inproc)
        run.add_clocks()
        start_clocks(run.clocks, ClockLine(0.0, self.clock.now_ns(), float(graph.rate)))
        self.record = ClockRecord(run.clock_path)
        self._state = PipelineState(run, schedule=schedule)
        self._schedule = dict(schedule or {})
        self._life = Lifecycle(lambda: self.clock.now_ns() / 1e9)
        events = EventStream(lambda: self._life.uptime_s)
        jobs = JobMaker(self._state, Playhead(self._state, self._send))
        self.nodes = LocalNodes(self.clock, jobs, work_ms or {}, self._receive)
        ports = Ports(self._send, self.nodes.launch, self.clock.now_ns)
        self._starter = Starter(self._state, self._life, events, ports)
        departed = Departed(self._state, Reaper(self._state, Steps(_raise)).last_board)
        relinker = Relinker(self._state, events, ports)
        self._transaction = Transaction(self._state, events, self._starter, relinker, departed, ports)
        self.editor = Editor(self._state, self._life, self._transaction)
        self._start()

    @property
    def runners(self) -> dict[str, NodeRunner]:
        """The nodes that live, by name."""
        return self.nodes.runners

    @property
    def run(self) -> Run:
        """What all nodes share, with the present plan."""
        return self._state.run

    @property
    def graph(self) -> Graph:
        """The graph as it is wanted now."""
        return self._state.graph

    def _send(self, address: bytes, message: Mapping[str, Any]) -> None:
        self.nodes.send(address, message)

    def _receive(self, record: NodeRecord, message: dict[str, Any]) -> None:
        """A message of a node."""
        if message["op"] == "reply" and message["id"] < 0:
            self._transaction.on_reply(message["id"], None if message["ok"] else message["error"])
        elif message["op"] == "ended":
            record.phase = Phase.ENDED
            self._transaction.on_ended(record)
        elif message["op"] == "event":
            self.events.append(message["event"])
        elif message["op"] == "log":
            self.log.append(message["message"])

    def _start(self) -> None:
        state = self._state
        for name in state.plan.order:
            self.nodes.launch([state.nodes[name]], state.run)
        self._settle()
        for record in state.nodes.values():
            self._note_ready(record)
        self._starter.start_all()
        if self._life.error is not None:
            raise self._life.error
        if state.live:
            self._settle()

    def _note_ready(self, record: NodeRecord) -> None:
        record.ready, record.latency = True, self.runners[record.name].node.latency()

    def _settle(self) -> None:
        """Lets every node act until nothing moves at this moment."""
        for _ in range(MAX_TURNS):
            if not self._turn() and not self.nodes.is_working():
                return
        raise NodeError(f"nothing settles: after {MAX_TURNS} turns nodes still act without time passing")

    def _turn(self) -> bool:
        moved = self.nodes.turn()
        for child in self.nodes.take_exits():
            for record in self._transaction.bystanders(child):
                record.child = None
                self._transaction.on_exit(record, "it was ended")
        self._transaction.turn()
        return moved

    def run_until(self, host_ns: int) -> None:
        """Live: moves the clock from deadline to deadline."""
        while self.clock.now_ns() < host_ns:
            soonest = self.nodes.next_deadline_ns()
            soonest = host_ns if soonest is None else min(soonest, host_ns)
            self.clock.advance_to(max(soonest, self.clock.now_ns() + 1_000_000))
            self._settle()

    def run_to_end(self) -> None:
        """Offline: until every node has ended. Raises NodeError when they wait for each other."""
        idle = 0
        while not all(runner.ended for runner in self.runners.values()):
            idle = 0 if self._turn() or self.nodes.is_working() else idle + 1
            if idle > MAX_IDLE_TURNS:
                waiting = ", ".join(name for name, runner in self.runners.items() if not runner.ended)
                raise NodeError(f"stuck: {waiting} wait for each other")
            if idle:
                self.clock.advance_to(self.clock.now_ns() + 10_000_000)

    # -- changes while it plays --------------------------------------------------------------------------

    def edit(self, *changes: Mapping[str, Any]) -> None:
        """Changes the graph: all or nothing, and without waiting; `settled` when it is through."""
        self.change_to(edited(self.graph, changes))

    def change_to(self, graph: Graph) -> None:
        """Another graph in place of this one. Raises what a new node raises; then nothing has changed."""
        for name, runner in self.runners.items():  # as the supervisor's records follow what is set
            self._state.nodes[name].input_settings = dict(runner.node.input_settings)
        outcomes: list[Outcome] = []
        self.editor.change_to(graph, outcomes.append)
        for record in self._state.starting():
            self._note_ready(record)
            self._transaction.on_ready(record)
        for outcome in outcomes:
            if isinstance(outcome, PipelineError):
                raise outcome
        self._settle()

    @property
    def settled(self) -> bool:
        """True when the last change is through."""
        return not self._transaction.busy

    def settle(self, most_s: float = 5.0) -> None:
        """Lets time pass until the last change is through. Raises NodeError when it does not get there."""
        end = self.clock.now_ns() + round(most_s * 1e9)
        while not self.settled:
            if self.clock.now_ns() >= end:
                raise NodeError(f"a change is not through after {most_s:g} s: {self._transaction.waits_for}")
            self.run_until(self.clock.now_ns() + 10_000_000)

    def command(self, node: str, /, **command: Any) -> None:
        """Sends a node a command and lets it act."""
        self.runners[node].inbox.append(command)
        self._settle()

    @property
    def work_ms(self) -> dict[str, float]:
        """How long a call of a node's `process` takes, by name; to be changed at will where it was given at first."""
        return self.nodes.work_ms

    def hold_up(self, name: str, ms: float) -> None:
        """A node is busy for so long from now."""
        self.nodes.processes[name].clock.spend(ms)

    def board(self, name: str) -> Reading:
        """What a node shows."""
        return Reading(Path(self.runners[name].job.board))

    def kill(self, name: str) -> None:
        """As `kill -9`: the node is gone without a message."""
        record = self._state.nodes[name]
        self.nodes.processes[name].kill()
        record.child, record.ready, record.phase = None, False, Phase.RESTARTING
        self._transaction.on_death(name)  # its successor is connected as is wanted now

    def revive(self, name: str, **wanted: Any) -> NodeRunner:
        """A successor, that is to know what is `wanted` of it."""
        record = self._state.nodes[name]
        record.incarnation += 1
        job = make_job(self.run, name, incarnation=record.incarnation, schedule=self._schedule.get(name, []), **wanted)
        self.nodes.open(record, job)
        self._note_ready(record)
        for other in self.runners.values():
            other.reconnect(name)
        self._starter.start_node(record)
        self._settle()
        return self.runners[name]

    def close(self) -> None:
        self.nodes.close()
        self.record.close()
        self._temporary.cleanup()

    def __enter__(self) -> LocalGraph:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _raise(step: str, reason: str) -> None:
    raise NodeError(f"{step}: {reason}")


def _inproc(node: str, port: str) -> str:
    return f"inproc://{node}.{port}"
