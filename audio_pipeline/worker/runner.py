"""Runs one node: takes frames, calls the node, sends frames, keeps time. No process or control socket here.

`step` does whatever is possible now and returns; a worker process calls it in a loop, a test calls it
under a virtual clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import zmq

from audio_pipeline.clock import ClockRecord, HostClock
from audio_pipeline.control.notices import Notice, Ready
from audio_pipeline.graph.job import Job
from audio_pipeline.links.waker import Waker
from audio_pipeline.metrics import Board
from audio_pipeline.node import Node
from audio_pipeline.refs import LinkKey
from audio_pipeline.setting_values import live_names
from audio_pipeline.worker.command_handler import CommandHandler
from audio_pipeline.worker.commands import Cancel, Command
from audio_pipeline.worker.context import RunnerContext
from audio_pipeline.worker.core import Core
from audio_pipeline.worker.figures import Figures
from audio_pipeline.worker.graph_clock import GraphClock
from audio_pipeline.worker.input import Input
from audio_pipeline.worker.inputs import Inputs
from audio_pipeline.worker.intake import Intake
from audio_pipeline.worker.output import Out
from audio_pipeline.worker.outputs import Outputs
from audio_pipeline.worker.pacer import Pacer
from audio_pipeline.worker.sockets import Sockets

CLOSE_NS = 2_000_000_000


class NodeRunner:
    """The engine around one node."""

    def __init__(
        self,
        job: Job,
        node: Node,
        context: zmq.Context[Any],
        clock: HostClock,
        board: Board,
        record: ClockRecord,
        notify: Callable[[Notice], None],
        inbox: deque[Command],
    ) -> None:
        self.job, self.node, self.board, self.inbox = job, node, board, inbox
        self.waker = Waker()
        self.clock = GraphClock(record, clock, job.rate)
        self.sockets = Sockets(self.waker.fd)
        figures, generations = Figures(board, job.name), dict(job.generations)
        outputs = Outputs(job, context, self.clock, board, self.sockets, figures.count, generations)
        links = Inputs(job, node, context, self.clock, board, self.sockets, outputs, figures.count)
        self.ctx = RunnerContext(job, figures, self.clock, outputs, links, board, self.waker, notify)
        self.core = Core(job, node, self.ctx, self.clock, board, outputs, generations, notify)
        self._outputs, self.links, self.aligner = outputs, links, links.aligner
        self.intake = Intake(self.core, links)
        self.pacer = Pacer(self.core, self.aligner)
        self.commands = CommandHandler(self.core, links, self.intake, self.pacer, inbox)
        self._closing_since: int | None = None

    @property
    def outputs(self) -> list[Out]:
        """The node's outputs."""
        return list(self._outputs)

    @property
    def inputs(self) -> Mapping[LinkKey, Input]:
        """The links into the node, by key."""
        return self.intake.inputs

    @property
    def ended(self) -> bool:
        """True once END was sent."""
        return self.core.ended

    @property
    def started(self) -> bool:
        """True once the clock runs."""
        return self.commands.started

    def open(self) -> None:
        """Opens the node: loading, devices, warm-up."""
        if self.job.state:
            self.node.restore(self.job.state)
        self.node.open(self.ctx)
        self.intake.set_since()

    def ready(self) -> Ready:
        """What it states of itself once it is open."""
        node, latency = self.node, self.node.latency()
        live = live_names(node.settings) + [f"inputs.{name}" for name in live_names(node.input_settings)]
        return Ready((latency.window, latency.lookahead, latency.hop, latency.compute), tuple(live))

    def on_arrival(self, command: Command) -> None:
        """In the control thread, for a command that is in the inbox: a cancel overtakes the work under way."""
        if isinstance(command, Cancel):
            self.ctx.wanted_generation = max(self.ctx.wanted_generation, command.generation)
        self.waker.wake()

    def reconnect(self, producer: str) -> None:
        """Connects anew to a producer that was replaced (inproc only; ipc and tcp do so by themselves)."""
        self.links.reconnect(producer)

    def step(self, timeout_ms: int = 0) -> bool:
        """Waits at most `timeout_ms` for something to do, does it, and says whether anything moved."""
        ready = self.sockets.poll(self.patience_ms(timeout_ms))
        began = self.clock.now_ns()
        woken = self.sockets.wake_fd in ready
        if woken:
            self.waker.clear()
            self._note_wake(began)
        moved = self.commands.handle_all() if self.inbox else False
        if ready:
            self.sockets.receive(ready)
        if self.commands.started and not self.core.ended:
            moved |= self._work(woken)
        elif self.core.ended and self.pacer.source is not None:
            self.links.discard_events()
        moved |= self.commands.advance()
        now = self.clock.now_ns()
        if self.commands.started or not self.job.joins:
            self.intake.send_due(now)
        self.core.meter.turn(began, now, moved=moved)
        self._outputs.show(now)
        return moved

    def _note_wake(self, now_ns: int) -> None:
        """What a device brought has waited since its thread called."""
        called_ns, self.ctx.woken_ns = self.ctx.woken_ns, 0
        if called_ns and self.started and self.job.live and not self.inputs:
            self.core.meter.waited(now_ns - called_ns)

    def patience_ms(self, timeout_ms: int) -> int:
        """Until the next deadline, at most `timeout_ms`."""
        if timeout_ms <= 0 or not self.started or self.ended:
            return timeout_ms
        if self.intake.waiting and self._outputs.has_capacity:
            return 0
        deadline = self.next_deadline_ns()
        if deadline is None:
            return timeout_ms
        wait_ns = deadline - self.clock.now_ns()
        return max(0, min(timeout_ms, -(-wait_ns // 1_000_000)))

    def next_deadline_ns(self) -> int | None:
        """Host time of the next thing to do without being asked; None: nothing."""
        mine, paced = self.node.deadline_ns(), self.pacer.deadline_ns()
        if mine is None or paced is None:
            return mine if paced is None else paced
        return min(mine, paced)

    def _work(self, woken: bool) -> bool:
        moved = self.intake.take()
        due = self.node.deadline_ns()
        if woken or (due is not None and self.clock.now_ns() >= due):
            self.node.poll(self.ctx)
            moved = True
        moved = self.pacer.work() or moved
        if not self.core.ended and (self.core.flushed or self._has_all):
            self.core.end()
        return moved

    @property
    def _has_all(self) -> bool:
        """True where nothing more comes in."""
        return self.pacer.source is None and bool(self.inputs) and self.intake.finished

    @property
    def drained(self) -> bool:
        """After the end: lossless consumers have everything, or two seconds passed (which is logged)."""
        if self._outputs.drained and not self.links.leaving:
            return True
        now = self.clock.now_ns()
        self._closing_since = self._closing_since or now
        if now - self._closing_since < CLOSE_NS:
            return False
        self.ctx.log("closed with frames that a consumer did not take within 2 s")
        return True

    def close(self) -> None:
        """Lets go of sockets and the node."""
        self.intake.close(self.clock.now_ns())
        self.core.close()
        self.waker.close()
