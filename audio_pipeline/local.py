"""Runs a whole graph in one thread under an injected clock: tests, and weeks of radio in minutes.

The same runner, links and credit as in processes, over ZeroMQ's inproc transport.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zmq

from audio_pipeline.build_node import build_node
from audio_pipeline.clock import ClockLine, ClockRecord, VirtualClock, start_clocks
from audio_pipeline.errors import NodeError
from audio_pipeline.frame import Frame
from audio_pipeline.graph import Graph
from audio_pipeline.jobs import Run, make_job, start_words
from audio_pipeline.metrics import Board, Reading
from audio_pipeline.node import Context, Latency, Node
from audio_pipeline.plan import make_plan
from audio_pipeline.runner import NodeRunner

MAX_TURNS = 10_000
MAX_IDLE_TURNS = 1_000


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

    def __init__(self, graph: Graph, folder: Path, *, live: bool = False, clock: VirtualClock | None = None,
                 work_ms: Mapping[str, float] | None = None,
                 schedule: Mapping[str, list[list[Any]]] | None = None) -> None:  # fmt: skip
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
        self.runners = {name: self._make(name) for name in self.run.plan.order}
        self._incarnations = dict.fromkeys(self.runners, 0)
        self._start()

    def _make(self, name: str, incarnation: int = 0, **desired: Any) -> NodeRunner:
        job = make_job(self.run, name, incarnation=incarnation, schedule=self._schedule.get(name, []), **desired)
        clock = BusyClock(self.clock)
        node = build_node(job)
        if name in self.work_ms:
            self._slow_down(name, node, clock)
        record = ClockRecord(Path(job.clock))
        runner = NodeRunner(job, node, self._context, clock, Board(Path(job.board)), record, self._hear)
        runner.open()
        self._clocks[name] = clock
        return runner

    def _slow_down(self, name: str, node: Node, clock: BusyClock) -> None:
        process = node.process

        def slow(inputs: Mapping[str, Frame], ctx: Context) -> None:
            clock.spend(self.work_ms.get(name, 0.0))
            process(inputs, ctx)

        node.process = slow  # type: ignore[method-assign]

    def _hear(self, word: dict[str, Any]) -> None:
        if word["op"] == "event":
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
            if not self._turn():
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

    def _deadline_ns(self, name: str) -> int | None:
        clock = self._clocks[name]
        return clock.busy_until_ns if clock.busy else self.runners[name].next_deadline_ns()

    def run_to_end(self) -> None:
        """Offline: until every node has ended. Raises NodeError when they wait for each other."""
        idle = 0
        while not all(runner.ended for runner in self.runners.values()):
            idle = 0 if self._turn() else idle + 1
            if idle > MAX_IDLE_TURNS:
                waiting = ", ".join(name for name, runner in self.runners.items() if not runner.ended)
                raise NodeError(f"stuck: {waiting} wait for each other")
            if idle:
                self.clock.advance_to(self.clock.now_ns() + 10_000_000)

    def command(self, node: str, /, **command: Any) -> None:
        """Sends a node a command and lets it act."""
        self.runners[node].inbox.append(command)
        self._settle()

    def board(self, name: str) -> Reading:
        """What a node shows."""
        return Reading(Path(self.runners[name].job.board))

    def kill(self, name: str) -> None:
        """As `kill -9`: the node is gone without a word."""
        runner = self.runners.pop(name)
        for out in runner.outputs:
            out.port.close()
        for item in runner.inputs.values():
            item.link.socket.close(linger=0)
        runner.waker.close()

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


def _inproc(node: str, port: str) -> str:
    return f"inproc://{node}.{port}"
