"""What all parts of a running node share: the node itself, its outputs, its generations, its schedule."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import zmq

from audio_pipeline.clock import ClockRecord, HostClock
from audio_pipeline.context import Out, RunnerContext
from audio_pipeline.frame import MAX_AGE_US, Frame
from audio_pipeline.job import Job, OutJob
from audio_pipeline.link import OutPort, OutSpec
from audio_pipeline.metrics import Board
from audio_pipeline.node import Node
from audio_pipeline.ports import Framer
from audio_pipeline.settings import replaced
from audio_pipeline.waker import Waker


class Core:
    """The node with everything it sends through."""

    def __init__(
        self, job: Job, node: Node, context: zmq.Context[Any], clock: HostClock, board: Board, record: ClockRecord,
        tell: Callable[[dict[str, Any]], None],
    ) -> None:  # fmt: skip
        self.job, self.node, self.clock, self.board, self.tell = job, node, clock, board, tell
        self.waker = Waker()
        self.ctx = RunnerContext(job, board, clock, record, self.waker, tell)
        self.ctx.send = self.send
        self.generations = dict(job.generations)
        self.ended = False
        self._schedule = deque(sorted(job.schedule, key=lambda item: int(item[0])))
        self.outputs = [self._open_output(context, out) for out in job.outputs]

    def _open_output(self, context: zmq.Context[Any], out: OutJob) -> Out:
        consumers = {name: (str(policy), int(queue)) for name, (policy, queue) in out.consumers.items()}
        spec = OutSpec(
            out.port, out.endpoint, 0, self.job.rate, 2, out.timeline, out.history_samples, consumers,
            rates=out.rates, local=out.local,
        )  # fmt: skip
        port = OutPort(context, spec, self.job.token, self.job.epoch, self.counter(f"out.{out.port}"))

        framer = Framer(self.job.frame_samples, self.job.rate, lambda frame: self.send(frame, port), self.ctx.count)
        framer.generation = self.generations.get(out.timeline, 0)
        result = Out(out.port, out.timeline, port, framer, events=out.events)
        self.ctx.outs[out.port] = result
        return result

    def counter(self, prefix: str) -> Callable[[str], Callable[[str, int], None]]:
        return lambda consumer: self.board.counting(f"{prefix}>{consumer}.")

    def send(self, frame: Frame, port: OutPort) -> None:
        """Puts a frame on a port's links, with how old it is by now and what it is mixed from."""
        age_us = (self.clock.now_ns() - frame.captured_ns) // 1000 if frame.captured_ns else 0
        if self.ctx.sources:
            frame = dataclasses.replace(frame, sources=self.ctx.sources)
        port.offer(frame, min(max(age_us, 0), MAX_AGE_US))

    def waited(self, wait_ns: int) -> None:
        """Something that was due, or had come, so long ago is begun now."""
        wait_ns = max(wait_ns, 0)
        self.board.add("waits")
        self.board.add("wait_ns", wait_ns)
        self.board.observe_ms("wait", wait_ns / 1e6)

    def adopt(self, plans: Mapping[str, Mapping[str, Any]]) -> None:
        """The true sizes of queues and histories."""
        for out in self.outputs:
            out.port.adopt(plans[out.name]["queues"], plans[out.name]["history_samples"])

    @property
    def room(self) -> bool:
        """True while every consumer that may stall us has room."""
        return all(out.port.room for out in self.outputs)

    def schedule(self, position: int, name: str, value: Any) -> None:
        """A setting that changes when the node gets to `position`."""
        self._schedule = deque(sorted([*self._schedule, [position, name, value]], key=lambda item: int(item[0])))

    @property
    def scheduled(self) -> bool:
        """True while settings wait for their position."""
        return bool(self._schedule)

    def until_change(self, position: int, samples: int) -> int:
        """Samples from `position` on before a scheduled setting changes, at most `samples`."""
        ahead = (int(at) for at, _, _ in self._schedule if position < int(at) < position + samples)
        return next(ahead, position + samples) - position

    def reached(self, position: int) -> None:
        """Applies what is due."""
        while self._schedule and int(self._schedule[0][0]) <= position:
            _, name, value = self._schedule.popleft()
            self.apply(name, value, position)

    def apply(self, name: str, value: Any, position: int) -> None:
        """Changes a live setting now; it was checked before."""
        if name.startswith("inputs."):
            inputs = replaced(self.node.input_settings, name.removeprefix("inputs."), value, ("inputs",))
            self.node.input_settings = inputs
        else:
            self.node.settings = replaced(self.node.settings, name, value)
        self.node.on_param(name, value, position, self.ctx)

    def finish(self) -> None:
        """Sends END everywhere: nothing comes after it."""
        for out in self.outputs:
            last = out.framer.last(0, self.job.rate, 2, self.clock.now_ns())
            self.send(last, out.port)
        self.ended = True

    def cancel_outputs(self, timeline: str, generation: int) -> None:
        """Nothing older of this timeline is sent or remembered."""
        for out in self.outputs:
            if out.timeline == timeline:
                out.framer.cancel(generation)
                out.port.cancel(generation)

    def close(self) -> None:
        for out in self.outputs:
            out.port.close()
        self.node.close()
        self.waker.close()
