"""Nodes of a graph as runners in one thread, in place of processes: launched, sent messages, ended."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import zmq

from audio_pipeline.clock import ClockRecord, VirtualClock
from audio_pipeline.context import Context
from audio_pipeline.control.notices import Notice
from audio_pipeline.frame import Frame
from audio_pipeline.graph.job import Job
from audio_pipeline.metrics import Board
from audio_pipeline.node import Node
from audio_pipeline.supervisor.job_maker import JobMaker
from audio_pipeline.supervisor.jobs import Run
from audio_pipeline.supervisor.records import NodeRecord
from audio_pipeline.worker.build_node import build_node
from audio_pipeline.worker.commands import Command, Stop, command_in, packed
from audio_pipeline.worker.runner import NodeRunner

WORK_S = 0.001

OnNotice = Callable[[NodeRecord, Notice], None]


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


class LocalProcess:
    """What runs one node; `gone` is called when it has ended."""

    pid = 0
    log = Path()
    last_notice: bytes | None = None

    def __init__(self, address: bytes, runner: NodeRunner, clock: BusyClock, gone: Callable[[], None]) -> None:
        self.address, self.runner, self.clock, self._gone = address, runner, clock, gone
        self._stopping = False

    def receive(self, command: Command) -> None:
        """Puts a command into the node's inbox; one that is to stop ends once nothing is under way."""
        if isinstance(command, Stop):
            self._stopping = True
        else:
            self.runner.inbox.append(command)

    def turn(self) -> bool:
        """Lets the node act; True where anything moved."""
        if not self.clock.busy and self.runner.step():
            return True
        runner = self.runner
        if self._stopping and runner.ended and not runner.links.changing and not runner.inbox:
            runner.close()
            self._gone()
            return True
        return False

    def kill(self) -> None:
        """Without a message to anybody."""
        runner = self.runner
        for out in runner.outputs:
            out.port.close()
        for item in (*runner.inputs.values(), *runner.links.leaving):
            item.link.socket.close(linger=0)
        runner.waker.close()
        self._gone()

    def wait(self, timeout_s: float) -> bool:
        return True

    def last_lines(self) -> list[str]:
        return []


class LocalNodes:
    """Every node under a clock of its own. `work_ms`, by name: how long a call of a node's `process` takes."""

    def __init__(self, clock: VirtualClock, jobs: JobMaker, work_ms: Mapping[str, float], on_notice: OnNotice) -> None:
        self._clock, self._jobs, self._on_notice = clock, jobs, on_notice
        self.work_ms = dict(work_ms)
        self.context: zmq.Context[Any] = zmq.Context()
        self.processes: dict[str, LocalProcess] = {}
        self._exits: list[LocalProcess] = []

    @property
    def runners(self) -> dict[str, NodeRunner]:
        """Those that live, by name."""
        return {name: process.runner for name, process in self.processes.items()}

    def launch(self, records: Sequence[NodeRecord], run: Run) -> None:
        """Opens nodes. Raises what one of them raises; then it is not there."""
        run.add_clocks()
        for record in records:
            self.open(record, self._jobs.job(record, run))

    def open(self, record: NodeRecord, job: Job) -> None:
        """Opens a node for a job. Raises what it raises."""
        clock = BusyClock(self._clock)
        node = build_node(job)
        if record.name in self.work_ms:
            self._slow_down(record.name, node, clock)
        board, line = Board(Path(job.board)), ClockRecord(Path(job.clock))
        runner = NodeRunner(
            job, node, self.context, clock, board, line, lambda notice: self._on_notice(record, notice), deque()
        )
        process = LocalProcess(record.address, runner, clock, lambda: self._forget(process))
        try:
            runner.open()
        except Exception:
            process.kill()
            raise
        self.processes[record.name] = process
        record.child = process
        self._on_notice(record, runner.ready())

    def _slow_down(self, name: str, node: Node, clock: BusyClock) -> None:
        process = node.process

        def slow(inputs: Mapping[str, Frame], ctx: Context) -> None:
            clock.spend(self.work_ms.get(name, 0.0))
            process(inputs, ctx)

        node.process = slow  # type: ignore[method-assign]

    def _forget(self, process: LocalProcess) -> None:
        self.processes = {name: other for name, other in self.processes.items() if other is not process}
        self._exits.append(process)

    def take_exits(self) -> list[LocalProcess]:
        """Those that ended since the last call."""
        exits, self._exits = self._exits, []
        return exits

    def send(self, address: bytes, command: Command) -> None:
        """As over the control socket, bytes included; a node that has gone misses it."""
        for process in [process for process in self.processes.values() if process.address == address]:
            process.receive(command_in(packed(command)))

    def turn(self) -> bool:
        """Lets every node act once; True where anything moved."""
        return any([process.turn() for process in list(self.processes.values())])

    def next_deadline_ns(self) -> int | None:
        """When something is to be done without a message."""
        deadlines = [
            process.clock.busy_until_ns if process.clock.busy else process.runner.next_deadline_ns()
            for process in self.processes.values()
        ]
        return min((at for at in deadlines if at is not None), default=None)

    def is_working(self) -> bool:
        """True where a node's own thread has work: that takes true time, so some passes before virtual time does."""
        working = any(process.runner.node.busy for process in self.processes.values())
        if working:
            time.sleep(WORK_S)
        return working

    def close(self) -> None:
        for process in self.processes.values():
            process.runner.close()
        self.context.destroy(linger=0)
