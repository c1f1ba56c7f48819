"""All outputs of a running node: opened, rewired, closed, and what is sent through them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import zmq

from audio_pipeline.frame import Frame
from audio_pipeline.frame_codec import MAX_AGE_US
from audio_pipeline.graph.job import Job, OutJob
from audio_pipeline.links.credit import Count
from audio_pipeline.links.framer import Framer
from audio_pipeline.links.port_specs import OutSpec
from audio_pipeline.links.producer import OutPort
from audio_pipeline.metrics import Board
from audio_pipeline.worker.commands import OutputTerms
from audio_pipeline.worker.graph_clock import GraphClock
from audio_pipeline.worker.output import Out
from audio_pipeline.worker.sockets import Sockets

LEVEL_EVERY_NS = 100_000_000
HOLD_NS = 1_000_000_000


class Outputs:
    """The outputs by name. `generations` are those that the node's timelines are at, shared with its inputs."""

    def __init__(
        self,
        job: Job,
        context: zmq.Context[Any],
        clock: GraphClock,
        board: Board,
        sockets: Sockets,
        count: Count,
        generations: Mapping[str, int],
    ) -> None:
        self._job, self._context, self._clock, self._board = job, context, clock, board
        self._sockets, self._count, self._generations = sockets, count, generations
        self.sources: tuple[tuple[int, int], ...] = ()  # what the newest input holds, where it is a mix
        self.by_name: dict[str, Out] = {}
        self._next_level_ns = 0
        for out in job.outputs:
            self._open(out)

    def __iter__(self) -> Iterator[Out]:
        return iter(self.by_name.values())

    def _open(self, out: OutJob) -> None:
        spec = OutSpec(
            out.port,
            out.endpoint,
            0,
            self._job.rate,
            2,
            out.timeline,
            out.history_samples,
            _terms(out),
            rates=out.rates,
            local=out.local,
        )
        port = OutPort(self._context, spec, self._job.token, self._job.epoch, self._counter(f"out.{out.port}"))
        frame_samples, rate = self._job.frame_samples, self._job.rate
        framer = Framer(frame_samples, rate, lambda frame: self.send(frame, port), self._count)
        framer.generation = self._generations.get(out.timeline, 0)
        self.by_name[out.port] = Out(out.port, out.timeline, port, framer, events=out.events)
        self._sockets.add(port.socket, port.handle)

    def _counter(self, prefix: str) -> Callable[[str], Count]:
        return lambda consumer: self._board.counting(f"{prefix}>{consumer}.")

    # -- changes ------------------------------------------------------------------------------------

    def adopt(self, terms: Mapping[str, OutputTerms]) -> None:
        """The true sizes of queues and histories."""
        for out in self:
            if out.name in terms:
                out.port.adopt(terms[out.name].queues, terms[out.name].history_samples)

    def rewire(self, jobs: Sequence[OutJob]) -> None:
        """Who listens from now on; outputs that are new. Those that went are closed by `prune`."""
        for name in self.by_name.keys() - {job.port for job in jobs}:
            self.by_name[name].port.rewire({}, {}, 0)
        for job in jobs:
            known = self.by_name.get(job.port)
            if known is None:
                self._open(job)
            else:
                known.port.rewire(_terms(job), job.rates, job.history_samples)

    def expect(self, jobs: Sequence[OutJob]) -> None:
        """Who will listen as well; whoever does now goes on."""
        for job in jobs:
            known = self.by_name.get(job.port)
            if known is None:
                self._open(job)
                continue
            spec = known.port.spec
            history = max(job.history_samples, spec.history_samples)
            known.port.rewire({**_terms(job), **spec.consumers}, {**job.rates, **spec.rates}, history)

    def prune(self, wanted: Collection[str]) -> None:
        """Closes outputs that are not wanted any more."""
        for name in [name for name in self.by_name if name not in wanted]:
            out = self.by_name.pop(name)
            self._sockets.remove(out.port.socket)
            out.port.close()
            self._board.clear(slot for slots in out.slots.values() for slot in slots)

    def enter_timeline(self, timeline: str) -> None:
        """What goes out from now on has positions of another timeline."""
        for out in self:
            out.enter_timeline(timeline, self._generations.get(timeline, 0))

    def cancel(self, timeline: str, generation: int) -> None:
        """Nothing older of this timeline is sent or remembered."""
        for out in self:
            if out.timeline == timeline:
                out.cancel(generation)

    # -- what goes out ------------------------------------------------------------------------------

    def send(self, frame: Frame, port: OutPort) -> None:
        """Puts a frame on a port's links, with how old it is by now and what it is mixed from."""
        age_us = (self._clock.now_ns() - frame.captured_ns) // 1000 if frame.captured_ns else 0
        if self.sources:
            frame = dataclasses.replace(frame, sources=self.sources)
        port.offer(frame, min(max(age_us, 0), MAX_AGE_US))

    def send_end(self) -> None:
        """END everywhere: nothing comes after it."""
        for out in self:
            self.send(out.framer.last(0, self._job.rate, 2, self._clock.now_ns()), out.port)

    @property
    def has_capacity(self) -> bool:
        """True while every consumer that may stall us has capacity left."""
        return all(out.port.has_capacity for out in self)

    @property
    def drained(self) -> bool:
        """True when every lossless consumer has taken everything."""
        return all(out.port.drained for out in self)

    @property
    def end(self) -> int:
        """Position behind the newest sample that was sent; 0 before the first."""
        return max((out.framer.end for out in self if out.framer.end is not None), default=0)

    # -- what is shown ------------------------------------------------------------------------------

    def show(self, now_ns: int) -> None:
        """Writes backlogs that may have changed to the board, and ten times a second levels."""
        for out in self.by_name.values():
            if out.port.stirred:
                out.port.stirred = False
                self._show_backlogs(out)
        if now_ns >= self._next_level_ns:
            self._next_level_ns = now_ns + LEVEL_EVERY_NS
            self._show_levels(now_ns)

    def _show_backlogs(self, out: Out) -> None:
        backlog, ints = out.port.backlog(), self._board.ints
        for name, (queued, in_flight) in backlog.items():
            slots = out.slots.get(name) or self._slots_of(out, name)
            ints[slots[0]], ints[slots[1]] = queued, in_flight
        if len(out.slots) == len(backlog):
            return
        for name in [name for name in out.slots if name not in backlog]:  # taken away
            self._board.clear(out.slots.pop(name))

    def _slots_of(self, out: Out, name: str) -> tuple[int, int]:
        link = f"out.{out.name}>{name}."
        slots = out.slots[name] = self._board.slot(link + "queued"), self._board.slot(link + "in_flight")
        return slots

    def _show_levels(self, now_ns: int) -> None:
        for out in self:
            if out.events or (not out.level.values and now_ns - out.shown_ns < HOLD_NS):
                continue  # what comes in bursts keeps its level in between
            out.shown_ns = now_ns
            peak_db, rms_db = out.level.take()
            self._board.gauge(f"level.{out.name}.peak_db", peak_db)
            self._board.gauge(f"level.{out.name}.rms_db", rms_db)

    def close(self) -> None:
        for out in self:
            out.port.close()


def _terms(job: OutJob) -> dict[str, tuple[str, int]]:
    """Policy and queue by consumer."""
    return {name: (terms.policy, terms.queue) for name, terms in job.consumers.items()}
