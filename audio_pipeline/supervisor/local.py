"""Runs a whole graph in one thread under an injected clock: tests, and weeks of radio in minutes.

The same runner, links and credit as in processes, over ZeroMQ's inproc transport.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zmq

from audio_pipeline.clock import ClockLine, ClockRecord, VirtualClock, start_clocks
from audio_pipeline.errors import NodeError
from audio_pipeline.frame import Frame
from audio_pipeline.graph.edit import edited
from audio_pipeline.graph.load import Graph
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.metrics import Board, Reading
from audio_pipeline.node import Context, Latency, Node
from audio_pipeline.supervisor.jobs import Run, lead_words, make_job, rewire_words, start_words
from audio_pipeline.supervisor.rewire import Rewiring, compare, merged_inputs, next_plan
from audio_pipeline.worker.build_node import build_node
from audio_pipeline.worker.runner import NodeRunner

MAX_TURNS = 10_000
MAX_IDLE_TURNS = 1_000
WORK_S = 0.001


class BusyClock:
    """Virtual time as one node sees it: ahead of the others' while it computes."""

    def __init__(self, shared: VirtualClock) -> None:
        self._shared = shared
        self.busy_until_ns = 0

    def now_ns(self) -> int:
        return max(self._shared.now_ns(), self.busy_until_ns)

    def spend(self, ms: float) -> None:
        self.busy_until_ns = self.now_ns() + round(ms * 1e6)

    @property
    def busy(self) -> bool:
        return self.busy_until_ns > self._shared.now_ns()


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
        self.work_ms = dict(work_ms or {})
        self._schedule = dict(schedule or {})
        self.events: list[dict[str, Any]] = []
        self.log: list[str] = []
        self._temporary = tempfile.TemporaryDirectory(prefix="ap-")
        self._context: zmq.Context[Any] = zmq.Context()
        self.run = Run(make_plan(graph, live=live), Path(self._temporary.name), folder, _inproc)
        self.run.add_clocks()
        start_clocks(self.run.clocks, ClockLine(0.0, self.clock.now_ns(), float(graph.rate)))
        self.record = ClockRecord(self.run.clock_path)
        self._clocks: dict[str, BusyClock] = {}
        self._waiting: set[str] = set()  # nodes that are being connected anew
        self._leaving: list[str] = []
        self._leads_due = False
        self._numbers = itertools.count(-1, -1)
        self.runners = {name: self._make(name) for name in self.run.plan.order}
        self._incarnations = dict.fromkeys(self.runners, 0)
        self._start()

    def _make(self, name: str, incarnation: int = 0, run: Run | None = None, **desired: Any) -> NodeRunner:
        job = make_job(run or self.run, name, incarnation=incarnation, schedule=self._schedule.get(name, []), **desired)
        clock = BusyClock(self.clock)
        node = build_node(job)
        if name in self.work_ms:
            self._slow_down(name, node, clock)
        record = ClockRecord(Path(job.clock))
        runner = NodeRunner(
            job, node, self._context, clock, Board(Path(job.board)), record, lambda word: self._hear(name, word)
        )
        try:
            runner.open()
        except Exception:
            _drop(runner)
            raise
        self._clocks[name] = clock
        return runner

    def _slow_down(self, name: str, node: Node, clock: BusyClock) -> None:
        process = node.process

        def slow(inputs: Mapping[str, Frame], ctx: Context) -> None:
            clock.spend(self.work_ms.get(name, 0.0))
            process(inputs, ctx)

        node.process = slow  # type: ignore[method-assign]

    def _hear(self, name: str, word: dict[str, Any]) -> None:
        if word["op"] == "reply" and word["id"] < 0:
            self._waiting.discard(name)
        elif word["op"] == "event":
            self.events.append(word["event"])
        elif word["op"] == "log":
            self.log.append(word["message"])

    def _start(self) -> None:
        self._settle()
        latencies: dict[str, Latency] = {name: runner.node.latency() for name, runner in self.runners.items()}
        self.run.plan = make_plan(self.run.plan.graph, latencies, live=self.run.plan.live)
        for name in reversed(self.run.plan.order):
            self.runners[name].inbox.append(dict(start_words(self.run.plan, name, [])))
        if self.run.plan.live:
            self._settle()

    def _settle(self) -> None:
        """Lets everybody act until nothing moves at this moment."""
        for _ in range(MAX_TURNS):
            if not self._turn() and not self._is_working():
                return
        raise NodeError(f"nothing settles: after {MAX_TURNS} turns nodes still act without time passing")

    def _turn(self) -> bool:
        return any([runner.step() for name, runner in self.runners.items() if not self._clocks[name].busy])

    def run_until(self, host_ns: int) -> None:
        """Live: moves the clock from deadline to deadline."""
        while self.clock.now_ns() < host_ns:
            deadlines = [self._deadline_ns(name) for name in self.runners]
            soonest = min((at for at in deadlines if at is not None), default=host_ns)
            self.clock.advance_to(max(min(soonest, host_ns), self.clock.now_ns() + 1_000_000))
            self._settle()
            self._go_on()

    def _deadline_ns(self, name: str) -> int | None:
        clock = self._clocks[name]
        return clock.busy_until_ns if clock.busy else self.runners[name].next_deadline_ns()

    def run_to_end(self) -> None:
        """Offline: until every node has ended. Raises NodeError when they wait for each other."""
        idle = 0
        while not all(runner.ended for runner in self.runners.values()):
            idle = 0 if self._turn() or self._is_working() else idle + 1
            if idle > MAX_IDLE_TURNS:
                waiting = ", ".join(name for name, runner in self.runners.items() if not runner.ended)
                raise NodeError(f"stuck: {waiting} wait for each other")
            if idle:
                self.clock.advance_to(self.clock.now_ns() + 10_000_000)

    def _is_working(self) -> bool:
        """True where a node's own thread has work: that takes true time, so some passes before virtual time does."""
        working = any(runner.node.busy for runner in self.runners.values())
        if working:
            time.sleep(WORK_S)
        return working

    # -- changes while it plays --------------------------------------------------------------------------

    @property
    def graph(self) -> Graph:
        """The graph as it is wanted now."""
        return self.run.plan.graph

    def edit(self, *changes: Mapping[str, Any]) -> None:
        """Changes the graph: all or nothing, and without waiting; `settled` when it is through."""
        self.change_to(edited(self.graph, changes))

    def change_to(self, graph: Graph) -> None:
        """Another graph in place of this one. Raises what a new node raises; then nothing has changed."""
        change = compare(self.run, next_plan(self.run.plan, graph, self._latencies()))
        change.run.add_clocks()
        fresh: dict[str, NodeRunner] = {}
        try:
            for name in change.added:
                self._incarnations[name] = self._incarnations.get(name, -1) + 1
                fresh[name] = self._make(
                    name, self._incarnations[name], run=change.run, joins=True, born=self._incarnations[name]
                )
            latencies = {**self._latencies(), **{name: runner.node.latency() for name, runner in fresh.items()}}
            self._switch(compare(self.run, next_plan(self.run.plan, graph, latencies)), fresh)
        except Exception:
            for runner in fresh.values():
                runner.close()
            raise

    def _latencies(self) -> dict[str, Latency]:
        return {name: runner.node.latency() for name, runner in self.runners.items()}

    def _switch(self, change: Rewiring, fresh: Mapping[str, NodeRunner]) -> None:
        old, self.run = self.run.plan.graph.nodes, change.run
        self.runners |= fresh
        for name in change.touched:
            self.runners[name].inbox.append({**rewire_words(self.run, name, {}, []), "op": "expect"})
        self._settle()
        for name in change.added:
            self.runners[name].inbox.append(dict(start_words(self.run.plan, name, [])))
        for name in change.touched:
            live = merged_inputs(old[name], self.graph.nodes[name], self.runners[name].node.input_settings)
            lead_ms = change.leads_ms[self.run.plan.timelines[name]]
            words = {**rewire_words(self.run, name, live, []), "lead_ms": lead_ms, "id": next(self._numbers)}
            self.runners[name].inbox.append(words)
            self._waiting.add(name)
        self._leads_due = True
        self._leaving += change.removed
        self._settle()

    @property
    def settled(self) -> bool:
        """True when the last change is through."""
        return not self._waiting and not self._leaving

    def settle(self, most_s: float = 5.0) -> None:
        """Lets time pass until the last change is through. Raises NodeError when it does not get there."""
        end = self.clock.now_ns() + round(most_s * 1e9)
        while not self.settled:
            if self.clock.now_ns() >= end:
                raise NodeError(f"a change is not through after {most_s:g} s: {self._waiting or self._leaving}")
            self.run_until(self.clock.now_ns() + 10_000_000)

    def _go_on(self) -> None:
        """Nodes that were taken out leave when nobody listens to them any more."""
        if self._leads_due and not self._waiting:
            self._leads_due = False
            for name in self.graph.nodes.keys() & self.runners.keys():
                self.runners[name].inbox.append(lead_words(self.run.plan, name))
        for name in self._leaving if not self._waiting else ():
            runner = self.runners[name]
            if not runner.ended:
                runner.inbox.append({"op": "retire"})
            elif not runner.intake.all.changing and not runner.inbox:
                self._leaving.remove(name)
                self.runners.pop(name).close()
                return

    def command(self, node: str, /, **command: Any) -> None:
        """Sends a node a command and lets it act."""
        self.runners[node].inbox.append(command)
        self._settle()

    def board(self, name: str) -> Reading:
        """What a node shows."""
        return Reading(Path(self.runners[name].job.board))

    def kill(self, name: str) -> None:
        """As `kill -9`: the node is gone without a word."""
        self._waiting.discard(name)  # its successor is connected as is wanted now
        _drop(self.runners.pop(name))

    def revive(self, name: str, **desired: Any) -> NodeRunner:
        """A successor process."""
        self._incarnations[name] += 1
        runner = self.runners[name] = self._make(name, self._incarnations[name], **desired)
        for other in self.runners.values():
            other.reconnect(name)
        runner.inbox.append(dict(start_words(self.run.plan, name, [])))
        self._settle()
        return runner

    def close(self) -> None:
        for runner in self.runners.values():
            runner.close()
        self.record.close()
        self._context.destroy(linger=0)
        self._temporary.cleanup()

    def __enter__(self) -> LocalGraph:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _drop(runner: NodeRunner) -> None:
    """Without a word to anybody."""
    for out in runner.outputs:
        out.port.close()
    for item in (*runner.inputs.values(), *runner.intake.all.leaving):
        item.link.socket.close(linger=0)
    runner.waker.close()


def _inproc(node: str, port: str) -> str:
    return f"inproc://{node}.{port}"
