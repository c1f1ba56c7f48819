"""The engine's side of `node.Context`: what a node sees of clock, ports and counters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from audio_pipeline.align.concealed_spans import ConcealedSpans
from audio_pipeline.clock import ClockLine, ClockRecord
from audio_pipeline.control.notices import Event, Log, Notice
from audio_pipeline.errors import NodeError
from audio_pipeline.frame import Flag, Frame, Samples, event_frame, gap_frame
from audio_pipeline.frame_codec import pack_event
from audio_pipeline.graph.job import Job
from audio_pipeline.links.waker import Waker
from audio_pipeline.metrics import Board
from audio_pipeline.worker.figures import Figures
from audio_pipeline.worker.graph_clock import GraphClock
from audio_pipeline.worker.inputs import Inputs
from audio_pipeline.worker.output import Out
from audio_pipeline.worker.outputs import Outputs

GRID = 705_600_000  # a multiple of the usual rates: positions of different rates are compared in it


class RunnerContext:
    """Implements `node.Context` for one running node."""

    def __init__(
        self,
        job: Job,
        figures: Figures,
        clock: GraphClock,
        outputs: Outputs,
        links: Inputs,
        board: Board,
        waker: Waker,
        notify: Callable[[Notice], None],
    ) -> None:
        self.name, self.rate, self.frame_samples = job.name, job.rate, job.frame_samples
        self.run_folder = str(Path(job.board).parent)
        self.live, self.folder, self.incarnation = job.live, job.folder, job.incarnation
        self.wanted_generation = 0
        self.woken_ns = 0  # when the node's own thread first called since the last turn
        self._job, self._figures, self._clock, self._outputs, self._links = job, figures, clock, outputs, links
        self._board, self._waker, self._notify = board, waker, notify
        self._capture = (0, 0, job.rate)  # position, host time, rate of the newest input
        self._concealed, self._timelines = ConcealedSpans(), {out.timeline for out in job.outputs}
        self._own = ClockRecord(Path(job.own_clock)) if job.own_clock else None
        self._foreign = {plan.target.name: ClockRecord(Path(plan.clock)) for plan in job.inputs if plan.clock}

    def note_input(self, frame: Frame, timeline: str = "") -> None:
        """What is emitted from now on inherits this frame's capture time, by position; and on its own timeline that
        it was made up."""
        if frame.flags & Flag.CONCEALED and timeline in self._timelines:
            self._concealed.note(frame.position * GRID // frame.rate, frame.end * GRID // frame.rate)
        if frame.captured_ns:
            self._capture = (frame.end, frame.captured_ns, frame.rate)
            self._outputs.sources = frame.sources

    def captured_at(self, position: int, rate: int) -> int:
        """Host time at which the sample before `position` (at `rate`) was captured."""
        end, captured_ns, capture_rate = self._capture
        return captured_ns + round((position / rate - end / capture_rate) * 1e9) if captured_ns else 0

    def emit(
        self,
        port: str,
        data: Samples,
        position: int,
        *,
        flags: Flag = Flag.NONE,
        captured_ns: int | None = None,
        rate: int | None = None,
    ) -> None:
        out = self._out(port, events=False)
        rate = rate or self.rate
        if out.port.wanted:
            if captured_ns is None:
                captured_ns = self.captured_at(position + len(data), rate)
            if self._concealed and self._is_concealed(position, len(data), rate):
                flags |= Flag.CONCEALED
            out.framer.emit(data, position, rate, flags & ~(Flag.GAP | Flag.END), captured_ns)
        out.level.add(data)  # last: nobody waits for it

    def _out(self, port: str, *, events: bool) -> Out:
        """The output of that name. NodeError where the node declares none."""
        out = self._outputs.by_name.get(port)
        if out is None or out.events != events:
            what = "event outputs" if events else "outputs for sound"
            known = ", ".join(name for name, other in self._outputs.by_name.items() if other.events == events) or "none"
            raise NodeError(f"{self.name} sends on {port!r}, which is not among its declared {what}: {known}")
        return out

    def _is_concealed(self, position: int, samples: int, rate: int) -> bool:
        """True where a sound comes, at these positions, from input that was not there."""
        return self._concealed.first_in(position * GRID // rate, (position + samples) * GRID // rate) is not None

    def emit_gap(self, port: str, samples: int, position: int) -> None:
        channels = 2
        self.emit(port, np.zeros((samples, channels), np.float32), position)

    def emit_idle(self, port: str, position: int) -> None:
        out = self._out(port, events=False)
        frame = gap_frame(0, position, self.rate, 2, generation=out.framer.generation, captured_ns=self.now_ns())
        self._outputs.send(frame, out.port)

    def event(self, port: str, kind: str, position: int, **data: Any) -> None:
        event = {"kind": kind, "position": position, "node": self.name, **data}
        pack_event(event)  # here, where the traceback shows who said it
        out = self._out(port, events=True)
        captured_ns = self.captured_at(position, self.rate)
        generation = out.framer.generation
        frame = event_frame(event, position, self.rate, captured_ns=captured_ns, generation=generation)
        self._outputs.send(frame, out.port)
        self._notify(Event(event))

    def now_ns(self) -> int:
        return self._clock.now_ns()

    def due_ns(self, port: str, frame: Frame) -> int:
        return self._links.due_ns(port, frame)

    def line(self) -> ClockLine:
        """The graph's clock; before it was set, one that starts now."""
        return self._clock.line()

    def position_at(self, host_ns: int) -> float:
        return self.line().position_at(host_ns)

    def host_ns_at(self, position: float) -> int:
        return self.line().host_ns_at(position)

    def clock_rate(self) -> float:
        return self.line().rate

    def publish_clock(self, position: float, host_ns: int, rate: float, *, discont: bool = False) -> None:
        line = ClockLine(position, host_ns, rate)
        self.gauge("device_ppm", (rate / self.rate - 1) * 1e6)
        if self._own is not None:
            self._own.publish(line, discont=discont)
        if self._job.master and self._job.clock != self._job.own_clock:
            self._clock.record.publish(line, discont=discont)

    def input_clock(self, port: str) -> ClockLine | None:
        record = self._foreign.get(port)
        return None if record is None else record.read() or self.line()

    def same_clock(self, port: str) -> bool:
        return all(plan.same_clock for plan in self._job.inputs if plan.target.name == port)

    def count(self, name: str, amount: int = 1) -> None:
        self._figures.count(name, amount)

    def gauge(self, name: str, value: float) -> None:
        self._figures.gauge(name, value)

    def wake(self) -> None:
        self.woken_ns = self.woken_ns or self._clock.now_ns()
        self._waker.wake()

    def alive(self) -> None:
        self._board.put("beat_ns", self._clock.now_ns())

    def cancelled(self, generation: int) -> bool:
        return generation < self.wanted_generation

    def log(self, message: str) -> None:
        self._notify(Log(message))
