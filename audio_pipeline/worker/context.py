"""The engine's side of `node.Context`: what a node sees of clock, ports and counters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from audio_pipeline.align.concealed_spans import ConcealedSpans
from audio_pipeline.clock import ClockLine, ClockRecord, HostClock
from audio_pipeline.errors import NodeError
from audio_pipeline.frame import Flag, Frame, Samples, event_frame, gap_frame, pack_event
from audio_pipeline.graph.job import Job
from audio_pipeline.links.link import OutPort
from audio_pipeline.links.ports import Framer
from audio_pipeline.links.waker import Waker
from audio_pipeline.metrics import Board

LEVEL_EVERY_NS = 100_000_000
GRID = 705_600_000  # a multiple of the usual rates: positions of different rates are compared in it
HOLD_NS = 1_000_000_000
FIGURE_CHARACTERS = 100  # of a counter's or a gauge's name


class Out:
    """One output: its framer, its port and its level."""

    def __init__(self, name: str, timeline: str, port: OutPort, framer: Framer, *, events: bool) -> None:
        self.name, self.timeline, self.port, self.framer, self.events = name, timeline, port, framer, events
        self.peak = 0.0
        self.square_sum = 0.0
        self.samples = 0
        self.shown_ns = 0

    def measure(self, x: Samples) -> None:
        """Adds to the level of the current tenth of a second."""
        if x.size:
            self.peak = max(self.peak, float(np.abs(x).max()))
            self.square_sum += float(np.vdot(x, x))
            self.samples += x.size

    def level_db(self) -> tuple[float, float]:
        """Peak and RMS since the last call, dBFS."""
        rms = (self.square_sum / self.samples) ** 0.5 if self.samples else 0.0
        result = _db(self.peak), _db(rms)
        self.peak, self.square_sum, self.samples = 0.0, 0.0, 0
        return result


def _db(amplitude: float) -> float:
    return 20 * float(np.log10(amplitude)) if amplitude > 1e-6 else -120.0


def _figure(name: str) -> str:
    """The name of a counter or a gauge, as far as anybody will read it: the state of a pipeline holds all of them."""
    return name if len(name) <= FIGURE_CHARACTERS else name[:FIGURE_CHARACTERS]


class RunnerContext:
    """Implements `node.Context` for one running node."""

    def __init__(
        self,
        job: Job,
        board: Board,
        clock: HostClock,
        record: ClockRecord,
        waker: Waker,
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        self.name, self.rate, self.frame_samples = job.name, job.rate, job.frame_samples
        self.run_folder = str(Path(job.board).parent)
        self.live, self.folder, self.incarnation = job.live, job.folder, job.incarnation
        self.board = board
        self.outs: dict[str, Out] = {}
        self.due: Callable[[str, Frame], int] = lambda port, frame: 0
        self.send: Callable[[Frame, OutPort], None] = lambda frame, port: None
        self.wanted_generation = 0
        self._job, self._clock, self._record, self._waker, self._tell = job, clock, record, waker, tell
        self._capture = (0, 0, job.rate)  # position, host time, rate of the newest input
        self._next_level_ns = 0
        self._made_up, self._timelines = ConcealedSpans(), {out.timeline for out in job.outputs}
        self.woken_ns = 0  # when the node's own thread first called since the last turn
        self.sources: tuple[tuple[int, int], ...] = ()  # what the newest input holds, where it is a mix
        self._own = ClockRecord(Path(job.own_clock)) if job.own_clock else None
        self._foreign = {plan.target.name: ClockRecord(Path(plan.clock)) for plan in job.inputs if plan.clock}

    def note_input(self, frame: Frame, timeline: str = "") -> None:
        """What is emitted from now on inherits this frame's capture time, by position; and on its own timeline that
        it was made up."""
        if frame.flags & Flag.CONCEALED and timeline in self._timelines:
            self._made_up.note(frame.position * GRID // frame.rate, frame.end * GRID // frame.rate)
        if frame.captured_ns:
            self._capture = (frame.end, frame.captured_ns, frame.rate)
            self.sources = frame.sources

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
            if self._is_made_up(position, len(data), rate):
                flags |= Flag.CONCEALED
            out.framer.emit(data, position, rate, flags & ~(Flag.GAP | Flag.END), captured_ns)
        out.measure(data)  # last: nobody waits for it

    def _out(self, port: str, *, events: bool) -> Out:
        """The output of that name. NodeError where the node declares none."""
        out = self.outs.get(port)
        if out is None or out.events != events:
            what = "event outputs" if events else "outputs for sound"
            known = ", ".join(name for name, other in self.outs.items() if other.events == events) or "none"
            raise NodeError(f"{self.name} sends on {port!r}, which is not among its declared {what}: {known}")
        return out

    def _is_made_up(self, position: int, samples: int, rate: int) -> bool:
        """True where a sound comes, at these positions, from input that was not there."""
        return self._made_up.first_in(position * GRID // rate, (position + samples) * GRID // rate) is not None

    def emit_gap(self, port: str, samples: int, position: int) -> None:
        channels = 2
        self.emit(port, np.zeros((samples, channels), np.float32), position)

    def emit_idle(self, port: str, position: int) -> None:
        out = self._out(port, events=False)
        frame = gap_frame(0, position, self.rate, 2, generation=out.framer.generation, captured_ns=self.now_ns())
        self.send(frame, out.port)

    def event(self, port: str, kind: str, position: int, **data: Any) -> None:
        event = {"kind": kind, "position": position, "node": self.name, **data}
        pack_event(event)  # here, where the traceback shows who said it
        out = self._out(port, events=True)
        captured_ns = self.captured_at(position, self.rate)
        generation = out.framer.generation
        frame = event_frame(event, position, self.rate, captured_ns=captured_ns, generation=generation)
        self.send(frame, out.port)
        self._tell({"op": "event", "event": event})

    def now_ns(self) -> int:
        return self._clock.now_ns()

    def due_ns(self, port: str, frame: Frame) -> int:
        return self.due(port, frame)

    def line(self) -> ClockLine:
        """The graph's clock; before it was set, one that starts now."""
        return self._record.read() or ClockLine(0.0, self._clock.now_ns(), float(self.rate))

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
            self._record.publish(line, discont=discont)

    def input_clock(self, port: str) -> ClockLine | None:
        record = self._foreign.get(port)
        return None if record is None else record.read() or self.line()

    def same_clock(self, port: str) -> bool:
        return all(plan.same_clock for plan in self._job.inputs if plan.target.name == port)

    def count(self, name: str, amount: int = 1) -> None:
        try:
            self.board.add(f"count.{_figure(name)}", amount)
        except (TypeError, ValueError):
            raise NodeError(f"{self.name} counts {amount!r:.80} as {name!r:.80}, expected a whole number") from None

    def gauge(self, name: str, value: float) -> None:
        try:
            self.board.gauge(f"gauge.{_figure(name)}", value)
        except (TypeError, ValueError, OverflowError):
            raise NodeError(f"{self.name} shows {value!r:.80} as {name!r:.80}, expected a number") from None

    def wake(self) -> None:
        self.woken_ns = self.woken_ns or self._clock.now_ns()
        self._waker.wake()

    def alive(self) -> None:
        self.board.put("beat_ns", self._clock.now_ns())

    def cancelled(self, generation: int) -> bool:
        return generation < self.wanted_generation

    def log(self, message: str) -> None:
        self._tell({"op": "log", "message": message})

    def show_levels(self, now_ns: int) -> None:
        """Ten times a second: the outputs' levels."""
        if now_ns < self._next_level_ns:
            return
        self._next_level_ns = now_ns + LEVEL_EVERY_NS
        for out in self.outs.values():
            if out.events or (not out.samples and now_ns - out.shown_ns < HOLD_NS):
                continue  # what comes in bursts keeps its level in between
            out.shown_ns = now_ns
            peak_db, rms_db = out.level_db()
            self.board.gauge(f"level.{out.name}.peak_db", peak_db)
            self.board.gauge(f"level.{out.name}.rms_db", rms_db)
