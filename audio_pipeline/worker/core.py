"""What all parts of a running node share: the node itself, its outputs, its generations, its schedule."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import zmq

from audio_pipeline.clock import ClockRecord, HostClock
from audio_pipeline.errors import PipelineError
from audio_pipeline.frame import MAX_AGE_US, Frame
from audio_pipeline.graph.job import Job, OutJob
from audio_pipeline.links.credit import Count
from audio_pipeline.links.link import OutPort, OutSpec
from audio_pipeline.links.ports import Framer
from audio_pipeline.links.waker import Waker
from audio_pipeline.metrics import Board
from audio_pipeline.node import Node
from audio_pipeline.settings import replaced
from audio_pipeline.worker.context import Out, RunnerContext


class Core:
    """The node with everything it sends through."""

    def __init__(
        self,
        job: Job,
        node: Node,
        context: zmq.Context[Any],
        clock: HostClock,
        board: Board,
        record: ClockRecord,
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        self.job, self.node, self.clock, self.board, self.tell = job, node, clock, board, tell
        self.waker = Waker()
        self.ctx = RunnerContext(job, board, clock, record, self.waker, tell)
        self.ctx.send = self.send
        self.generations = dict(job.generations)
        self.ended = self.flushed = False
        self._schedule = deque(sorted(job.schedule, key=lambda item: int(item[0])))
        self.outputs: list[Out] = []
        self._context = context
        self.watch: Callable[[Any], None] = lambda socket: None  # what polls wants to know of sockets
        self.unwatch: Callable[[Any], None] = lambda socket: None
        for out in job.outputs:
            self._open_output(context, out)

    def _open_output(self, context: zmq.Context[Any], out: OutJob) -> Out:
        consumers = {name: (str(policy), int(queue)) for name, (policy, queue) in out.consumers.items()}
        spec = OutSpec(
            out.port,
            out.endpoint,
            0,
            self.job.rate,
            2,
            out.timeline,
            out.history_samples,
            consumers,
            rates=out.rates,
            local=out.local,
        )
        port = OutPort(context, spec, self.job.token, self.job.epoch, self.counter(f"out.{out.port}"))

        framer = Framer(self.job.frame_samples, self.job.rate, lambda frame: self.send(frame, port), self.ctx.count)
        framer.generation = self.generations.get(out.timeline, 0)
        result = Out(out.port, out.timeline, port, framer, events=out.events)
        self.ctx.outs[out.port] = result
        self.outputs.append(result)
        return result

    def rewire(self, jobs: Sequence[OutJob]) -> None:
        """Who listens from now on; outputs that are new. Those that went are closed by `prune`."""
        known = {out.name: out for out in self.outputs}
        for job in jobs:
            consumers = {name: (str(policy), int(queue)) for name, (policy, queue) in job.consumers.items()}
            if job.port in known:
                known[job.port].port.rewire(consumers, job.rates, job.history_samples)
            else:
                self.watch(self._open_output(self._context, job).port.socket)
        for name in known.keys() - {job.port for job in jobs}:
            known[name].port.rewire({}, {}, 0)

    def expect(self, jobs: Sequence[OutJob]) -> None:
        """Who will listen as well; whoever does now goes on."""
        known = {out.name: out.port.spec for out in self.outputs}
        self.rewire(
            [
                dataclasses.replace(
                    job,
                    consumers={**job.consumers, **_plain(known[job.port].consumers)},
                    rates={**job.rates, **known[job.port].rates},
                    history_samples=max(job.history_samples, known[job.port].history_samples),
                )
                if job.port in known
                else job
                for job in (
                    *jobs,
                    *(self._as_is(out) for out in self.outputs if out.name not in {j.port for j in jobs}),
                )
            ]
        )

    def _as_is(self, out: Out) -> OutJob:
        spec = out.port.spec
        return OutJob(
            out.name,
            spec.endpoint,
            out.timeline,
            _plain(spec.consumers),
            spec.history_samples,
            out.events,
            rates=dict(spec.rates),
            local=spec.local,
        )

    def prune(self, wanted: Collection[str]) -> None:
        """Closes outputs that are not wanted any more."""
        for out in [out for out in self.outputs if out.name not in wanted]:
            self.unwatch(out.port.socket)
            out.port.close()
            self.outputs.remove(out)
            del self.ctx.outs[out.name]

    def enter_timeline(self, timeline: str) -> None:
        """What goes out from now on has positions of another timeline."""
        for out in self.outputs:
            out.framer.flush()
            out.timeline, out.framer.generation = timeline, self.generations.get(timeline, 0)
            out.port.enter_timeline(timeline)

    def count_link(self, source: str, port: str) -> Count:
        """Counts what became of frames from `node.port` at an input."""
        return self.board.counting(f"in.{source}>{port}.")

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
            if out.name in plans:
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
            at, name, value = self._schedule.popleft()
            try:
                self.apply_at(at, name, value, position)
            except PipelineError as error:
                self.ctx.log(f"{name} stays as it was at position {at}: {error}")

    def apply_at(self, at: int, name: str, value: Any, position: int) -> None:
        """One that waited for its position, and says so: a successor must not wait for it again, refused or not."""
        ok = False
        try:
            self.apply(name, value, position)
            ok = True
        finally:
            self.tell({"op": "applied", "at": at, "name": name, "value": value, "ok": ok})

    def apply(self, name: str, value: Any, position: int) -> None:
        """Changes a live setting now; where the node refuses it, by any error, it is as it was."""
        before = self.node.settings, self.node.input_settings
        try:
            if name.startswith("inputs."):
                inputs = replaced(self.node.input_settings, name.removeprefix("inputs."), value, ("inputs",))
                self.node.input_settings = inputs
            else:
                self.node.settings = replaced(self.node.settings, name, value)
            self.node.on_param(name, value, position, self.ctx)
        except Exception:
            self.node.settings, self.node.input_settings = before
            raise

    def end(self) -> None:
        """Flushes the node, and sends END once it has no work left; asked again in each turn until then."""
        if not self.flushed:
            self.node.flush(self.ctx)
            self.flushed = True
        if not self.node.busy:
            self.finish()

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


def _plain(consumers: Mapping[str, tuple[str, int]]) -> dict[str, list[Any]]:
    return {name: list(terms) for name, terms in consumers.items()}
