"""What a node does by the clock rather than by its inputs: a source's blocks, a mixer's frames."""

from __future__ import annotations

from collections.abc import Iterator

from audio_pipeline.align.aligner import Aligner
from audio_pipeline.clock import ClockLine
from audio_pipeline.frame import Frame, Samples, gap_frame
from audio_pipeline.frame_codec import MAX_AGE_US
from audio_pipeline.node import Source
from audio_pipeline.worker.core import Core
from audio_pipeline.worker.pace import SourcePace, TickPace

IDLE_NS = 100_000_000
FOREVER = 1 << 62
ASK_AGAIN_NS = 5_000_000
BLOCKS_A_STEP = 32  # offline: stay responsive


class Pacer:
    """Draws blocks from a source, or ticks an aligned node."""

    def __init__(self, core: Core, aligner: Aligner | None) -> None:
        self._core, self.job, self.node, self.ctx = core, core.job, core.node, core.ctx
        self._clock, self._outputs, self._meter, self._board = core.clock, core.outputs, core.meter, core.board
        self.aligner = aligner
        self.ticks: TickPace | None = None
        self.source: SourcePace | None = None
        self._blocks: Iterator[Samples | int] | None = None
        self._ask_again_ns = 0  # offline: a source that waits for events

    def start(self, lead_ms: float) -> None:
        """The clock runs."""
        now = self._clock.now_ns()
        if self.aligner is not None:
            self.ticks = TickPace(self.job.frame_samples, self.ctx.line(), now, live=self.job.live)
        if isinstance(self.node, Source):
            place = self.job.place
            self.source = SourcePace(place.position if place else 0, lead_ms * self.job.rate / 1000)
            self._blocks = iter(self.node.blocks(self.ctx))
            if place is None or place.playing:
                self.source.play(self.ctx.position_at(now))

    def lead(self, lead_ms: float) -> None:
        """How far to run ahead of the clock from now on: more at once, less by waiting."""
        if self.source is not None:
            self.source.lead_samples = lead_ms * self.job.rate / 1000

    def advance(self) -> None:
        """After a seek: a source that had come to its end has more to say."""
        if self.source is not None and self._blocks is None and isinstance(self.node, Source):
            self._blocks = iter(self.node.blocks(self.ctx))

    def deadline_ns(self) -> int | None:
        """When there is something to do next; None: nothing by the clock."""
        if not self.job.live:
            return self._offline_deadline_ns()
        if self.ticks is not None:
            return self.ticks.deadline_ns(self.ctx.line())
        if self.source is not None:
            return self.source.deadline_ns(self.ctx.line(), self.job.frame_samples)
        return None

    def _offline_deadline_ns(self) -> int | None:
        if self.source is not None and self._outputs.has_capacity:
            return self._ask_again_ns
        ready = self.aligner is not None and self.aligner.ready()
        return 0 if ready and self._outputs.has_capacity else None

    def work(self) -> bool:
        """Does what is due; True if anything was."""
        moved = self._draw(self.source) if self.source is not None else False
        return (self._tick() or moved) if self.aligner is not None else moved

    @property
    def output_position(self) -> int:
        """Where the node's output is now."""
        if self.ticks is not None:
            return self.ticks.position
        if self.source is not None:
            return self.source.position
        return self._outputs.end

    def _draw(self, pace: SourcePace) -> bool:
        """Takes blocks from a source: as the clock asks when live, as credit allows offline."""
        moved = False
        for _ in range(BLOCKS_A_STEP):
            now = self._clock.now_ns()
            line = self.ctx.line()
            if self._blocks is None or not pace.playing:
                return self._send_idle(now) or moved
            if not self._is_due(pace, line, now):
                pace.in_step = True
                return moved
            if self.job.live and pace.in_step:
                self._meter.waited(now - (pace.deadline_ns(line, self.job.frame_samples) or now))
            self._core.reached(pace.position)
            block = self._next_block(pace.position)
            if block is None:
                self._blocks = None
                self._core.finish()
                return True
            if isinstance(block, int) and not block:
                self._ask_again_ns = now + ASK_AGAIN_NS
                return moved
            self._emit_block(pace, block, line.host_ns_at(pace.clock_position(pace.position + _length(block))))
            moved = True
            if self.job.live and pace.in_step:
                return True  # the next one is not due for a frame; where it is, the next turn comes at once
        return moved

    def _is_due(self, pace: SourcePace, line: ClockLine, now: int) -> bool:
        """Live as the clock asks, offline as credit allows."""
        if not self.job.live:
            return self._outputs.has_capacity
        return pace.due(line.position_at(now), self.job.frame_samples)

    def _next_block(self, position: int) -> Samples | int | None:
        """The source's next block, cut where the run is to end."""
        left = (self.job.end_position or position + FOREVER) - position
        block = next(self._blocks, None) if self._blocks is not None and left > 0 else None
        if isinstance(block, int):
            return min(block, left)
        return block if block is None else block[:left]

    def _emit_block(self, pace: SourcePace, block: Samples | int, captured_ns: int) -> None:
        if isinstance(block, int):
            self.ctx.emit_gap("out", block, pace.position)
        else:
            self.ctx.emit("out", block, pace.position, captured_ns=captured_ns)
        pace.position += _length(block)
        self._board.put("position", pace.position)

    def _send_idle(self, now: int) -> bool:
        """A paused source says ten times a second that it is idle, not dead."""
        pace = self.source
        if pace is None or not self.job.live or now < pace.next_idle_ns:
            return False
        pace.next_idle_ns = now + IDLE_NS
        for out in self._outputs:
            if out.name == "out":
                frame = gap_frame(0, pace.position, self.job.rate, 2, generation=out.framer.generation, captured_ns=now)
                self._outputs.send(frame, out.port)
        return True

    def _tick(self) -> bool:
        ticks, aligner = self.ticks, self.aligner
        assert ticks is not None and aligner is not None
        moved = False
        while not self._core.ended:
            now = self._clock.now_ns()
            if self.job.live:
                line = self.ctx.line()
                skipped = ticks.skip(line, now)
                if skipped:
                    self.ctx.count("skipped_samples", skipped)
                    aligner.skip_to(ticks.position)
                if not ticks.due(line, now):
                    return moved
                self._meter.waited(now - ticks.deadline_ns(line))
                n = ticks.frame_samples
            else:
                if not (self._outputs.has_capacity and aligner.ready()):
                    return moved
                n = self._core.until_change(ticks.position, aligner.remaining(ticks.position))
                if n <= 0:
                    return moved
            self._core.reached(ticks.position)
            self._mix(aligner, ticks.position, n, now)
            ticks.position += n
            moved = True
        return moved

    def _mix(self, aligner: Aligner, position: int, n: int, now: int) -> None:
        times = aligner.captured_at(position + n)
        captured = min(times.values(), default=now)
        sources = tuple((tag, min((at - captured) // 1000, MAX_AGE_US)) for tag, at in times.items())
        frames: dict[str, Frame] = {}
        for name, (block, flags) in aligner.tick(position, n, now).items():
            frames[name] = Frame(block, position, n, self.job.rate, block.shape[1], flags, captured_ns=captured)
        self.ctx.note_input(Frame(None, position, n, self.job.rate, 2, captured_ns=captured, sources=sources))
        self.node.process(frames, self.ctx)
        self._board.put("position", position + n)
        for timeline, audible in aligner.offsets(position + n).items():
            self._board.put(f"heard.{timeline}", audible)
            self._board.put(f"anchor.{timeline}", position + n - audible)
            self._board.put(f"anchor_generation.{timeline}", aligner.timelines[timeline].generation)


def _length(block: Samples | int) -> int:
    return block if isinstance(block, int) else len(block)
