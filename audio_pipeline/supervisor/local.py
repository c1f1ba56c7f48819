"""Runs a whole graph in one thread under an injected clock: tests, and weeks of radio in minutes.

The same runner, links and credit as in processes, over ZeroMQ's inproc transport; the same start and the same editor
as the supervisor has, over `LocalNodes` in place of processes.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from audio_pipeline.clock import ClockLine, ClockRecord, VirtualClock, start_clocks
from audio_pipeline.control.notices import Event, Log, Notice, Reply
from audio_pipeline.errors import NodeError, PipelineError
from audio_pipeline.graph.edit import edited
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.graph.types import Graph
from audio_pipeline.graph_changes import GraphChange, changes_in
from audio_pipeline.metrics import Reading
from audio_pipeline.supervisor.change import Outcome
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.graph_parts import GraphParts
from audio_pipeline.supervisor.job_maker import JobMaker
from audio_pipeline.supervisor.jobs import Run, local_endpoint, make_job
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.local_nodes import LocalNodes
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.playhead import Playhead
from audio_pipeline.supervisor.ports import Ports
from audio_pipeline.supervisor.reaper import Reaper
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.supervisor.shortage import Steps
from audio_pipeline.worker.commands import Command
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
        run = Run(make_plan(graph, live=live), Path(self._temporary.name), folder, local_endpoint)
        run.add_clocks()
        start_clocks(run.clocks, ClockLine(0.0, self.clock.now_ns(), float(graph.rate)))
        self.record = ClockRecord(run.clock_path)
        self._state = PipelineState(run, schedule=schedule)
        self._life = Lifecycle(lambda: self.clock.now_ns() / 1e9)
        events = EventStream(lambda: self._life.uptime_s)
        self._reply: Reply | None = None  # the newest
        self._notices: deque[tuple[NodeRecord, Notice]] = deque()  # that nobody has taken yet
        playhead = Playhead(self._state, self._send)
        self.nodes = LocalNodes(self.clock, JobMaker(self._state, playhead), work_ms or {}, self._receive)
        ports = Ports(self._send, self.nodes.launch, self.clock.now_ns)
        reaper = Reaper(self._state, Steps(_raise))
        parts = GraphParts(self._state, self._life, events, playhead, ports, reaper.last_board)
        self._transaction, self._messages, self.editor = parts.transaction, parts.node_messages, parts.editor
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

    def _send(self, address: bytes, command: Command) -> None:
        self.nodes.send(address, command)

    def _receive(self, record: NodeRecord, notice: Notice) -> None:
        """A node sends something: it is kept for whoever looks, and taken when all nodes have had their turn."""
        if isinstance(notice, Event):
            self.events.append(notice.event)
        elif isinstance(notice, Log):
            self.log.append(notice.message)
        elif isinstance(notice, Reply):
            self._reply = notice
        self._notices.append((record, notice))

    def _deliver(self) -> None:
        while self._notices:
            self._messages.handle(*self._notices.popleft())

    def _start(self) -> None:
        state = self._state
        for name in state.plan.order:
            self.nodes.launch([state.nodes[name]], state.run)
        self._settle(self.nodes.turn)
        self._deliver()  # all are ready, so they start
        if self._life.error is not None:
            raise self._life.error
        if state.live:
            self._settle(self._turn)

    def _settle(self, turn: Callable[[], bool]) -> None:
        """Lets every node act until nothing moves at this moment."""
        for _ in range(MAX_TURNS):
            if not turn() and not self.nodes.is_working():
                return
        raise NodeError(f"nothing settles: after {MAX_TURNS} turns nodes still act without time passing")

    def _turn(self) -> bool:
        moved = self.nodes.turn()
        self._deliver()
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
            self._settle(self._turn)

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

    def edit(self, *changes: GraphChange | Mapping[str, Any]) -> None:
        """Changes the graph: all or nothing, and without waiting; `settled` when it is through."""
        self.change_to(edited(self.graph, changes_in(changes)))

    def change_to(self, graph: Graph) -> None:
        """Another graph in place of this one. Raises what a new node raises; then nothing has changed."""
        for name, runner in self.runners.items():  # as the supervisor's records follow what is set
            self._state.nodes[name].input_settings = dict(runner.node.input_settings)
        outcomes: list[Outcome] = []
        self.editor.change_to(graph, outcomes.append)
        self._deliver()  # those that join are ready
        for outcome in outcomes:
            if isinstance(outcome, PipelineError):
                raise outcome
        self._settle(self._turn)

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

    def command(self, node: str, command: Command) -> Reply | None:
        """Sends a node a command and lets it act; gives its reply where the command bears an `id`."""
        self._reply = None
        self._send(self._state.nodes[node].address, command)
        self._settle(self._turn)
        return self._reply

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

    def revive(self, name: str, **known: Any) -> NodeRunner:
        """A successor; what it is to know of its predecessor are fields of its job."""
        record = self._state.nodes[name]
        record.incarnation += 1
        job = make_job(self.run, name, incarnation=record.incarnation)
        self.nodes.open(record, replace(job, schedule=tuple(record.schedule), **known))
        for other in self.runners.values():
            other.reconnect(name)
        self._deliver()
        self._settle(self._turn)
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
