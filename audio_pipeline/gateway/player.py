"""Turns frames that come from another host when they like into frames of this graph, one at each tick of its clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.fade import fade_in, fade_out
from audio_pipeline.dsp.jitter_buffer import JitterBuffer
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.gateway.totals import Totals
from audio_pipeline.links.ports import Converter

if TYPE_CHECKING:
    from audio_pipeline.clock_offset import ClockOffset
    from audio_pipeline.context import Context
    from audio_pipeline.gateway.frame_ends import FrameSource

IDLE_NS = 100_000_000
LOST_NS = 1_000_000_000  # no frame for so long: what the consumers' `on_loss` says is heard
REPORT_NS = 100_000_000
CATCH_UP_NS = 500_000_000  # so far behind the clock it makes up for what it owes; beyond, that is left out
LEAP_S = 60.0  # a hole that is longer is none


class RemotePlayer:
    """A jitter buffer read by the graph's clock; positions are the clock's own, a new timeline.

    While frames come it emits without a break, concealed samples marked CONCEALED, also when the process was held up:
    what is due is emitted late, and the consumers decide. Beyond half a second it is left out, between two fades. When
    the other side is idle, so is this; when nothing has come for a second nothing is sent, so that the loss is seen
    where the sound is used. What is in the buffer is played before.
    """

    def __init__(self, ctx: Context, channels: int, least_ms: float, most_ms: float) -> None:
        self._frame = ctx.frame_samples
        self.buffer = JitterBuffer(channels, ctx.rate, ctx.frame_samples, least_ms=least_ms, most_ms=most_ms)
        self._converter = Converter(ctx.rate, channels)
        self._position: int | None = None
        self._expected: int | None = None  # of the remote timeline, at this graph's rate
        self._identity = (0, 0)  # epoch, generation
        self._arrived_ns = self._idle_ns = self._report_ns = 0
        self._idle = self._entering = self._deserted = False
        self._capture = (0, 0)  # a place on the remote timeline and when it was captured, on this host's clock
        self.lost_samples = self.frames = 0
        self._totals = Totals()

    def deadline_ns(self, ctx: Context) -> int:
        """When the next frame is due."""
        if self._position is None:
            self._position = max(int(ctx.position_at(ctx.now_ns())) // self._frame, 0) * self._frame
        return ctx.host_ns_at(self._position + self._frame)

    def push(self, frame: Frame, arrival_ns: int, captured_ns: int) -> None:
        """Takes a frame; `captured_ns` is on this host's clock, 0 where nobody knows."""
        if frame.event is not None:
            return
        self.frames += 1
        self._arrived_ns = arrival_ns
        if frame.samples == 0:
            self._idle = True
            self.buffer.finish()
            return
        frame = self._converter.convert(frame)
        if self._begins_anew(frame):
            self._begin(frame)
        if self._expected is not None and frame.position > self._expected:
            self.lost_samples += frame.position - self._expected
        self._expected = frame.end
        self._capture = (frame.end, captured_ns)
        if frame.samples:
            self.buffer.push(frame.position, frame.audio(), arrival_ns)

    def _begin(self, frame: Frame) -> None:
        if self._deserted:
            self.buffer.reset()
        else:
            self.buffer.clear()
        self._identity, self._expected = (frame.epoch, frame.generation), None
        self._idle = self._deserted = False

    def _begins_anew(self, frame: Frame) -> bool:
        """Another stream, or another place of this one: it went back, or more is missing than can have been lost."""
        if (frame.epoch, frame.generation) != self._identity or self._idle or self._deserted:
            return True
        return self._expected is not None and not 0 <= frame.position - self._expected <= LEAP_S * frame.rate

    def poll(self, ctx: Context, source: FrameSource, offset: ClockOffset | None = None) -> None:
        """Emits what is due; what has come is taken in before each frame, since emitting one may take a while.

        `offset`: of the clock by which the frames are stamped; without it that is this host's.
        """
        self.drain(source, offset)
        while (tick_ns := self.deadline_ns(ctx)) <= ctx.now_ns():
            assert self._position is not None
            self.drain(source, offset)
            held_up = ctx.now_ns() - tick_ns > CATCH_UP_NS
            self._tick(ctx, tick_ns, leaving=held_up)
            self._position += self._frame
            if held_up:
                self._skip(ctx)

    def drain(self, source: FrameSource, offset: ClockOffset | None = None) -> None:
        """Takes in what has come."""
        while (came := source.take()) is not None:
            frame, arrival_ns = came
            self.push(frame, arrival_ns, _captured_here(frame.captured_ns, offset))

    def _skip(self, ctx: Context) -> None:
        """Leaves out what should have been emitted by now; the buffer counts what that is of the sound."""
        assert self._position is not None
        behind = int(ctx.position_at(ctx.now_ns())) - self._position
        self._position += max(behind // self._frame * self._frame, 0)
        self._entering = True

    def _tick(self, ctx: Context, tick_ns: int, *, leaving: bool) -> None:
        sounded = self.buffer.sounding
        sound, concealed = self.buffer.pull(self._frame, tick_ns)
        if sounded or self.buffer.sounding or self._is_expected(tick_ns):
            flags = Flag.CONCEALED if concealed else Flag.NONE
            self._emit(ctx, self._faded(sound, leaving=leaving), tick_ns, flags)
        elif (self._idle or not self._arrived_ns) and tick_ns >= self._idle_ns:
            self._idle_ns = tick_ns + IDLE_NS
            assert self._position is not None
            ctx.emit_idle("out", self._position)
        if tick_ns >= self._report_ns:
            self._report_ns = tick_ns + REPORT_NS
            self._report(ctx, tick_ns)

    def _is_expected(self, now_ns: int) -> bool:
        """Whether more sound should come: silence is then a loss of ours."""
        return not self._idle and self._arrived_ns > 0 and now_ns - self._arrived_ns < LOST_NS

    def _emit(self, ctx: Context, sound: NDArray[np.float32], tick_ns: int, flags: Flag) -> None:
        assert self._position is not None
        ctx.emit("out", sound, self._position, flags=flags, captured_ns=tick_ns)

    def _faded(self, sound: NDArray[np.float32], *, leaving: bool) -> NDArray[np.float32]:
        """A frame before or behind a hole in the positions ends or begins at silence."""
        if self._entering:
            sound = sound * fade_in(len(sound))[:, None]
        self._entering = False
        return sound * fade_out(len(sound))[:, None] if leaving else sound

    def rest(self) -> None:
        """Nobody is connected: that is idleness, not a loss."""
        if self._arrived_ns:
            self._arrived_ns, self._deserted = 0, True
            self.buffer.finish()

    def _report(self, ctx: Context, now_ns: int) -> None:
        buffer = self.buffer
        gauges = {
            "jitter_ms": buffer.target.jitter_s * 1e3,
            "target_ms": buffer.target.target_s * 1e3,
            "buffer_ms": buffer.fill_s * 1e3,
            "ppm": buffer.ppm,
            "age_ms": self._age_ms(now_ns),
        }
        for name, value in gauges.items():
            ctx.gauge(name, value)
        self._totals.count(
            ctx,
            {
                "underruns": buffer.underruns,
                "outages": buffer.outages,
                "late_samples": buffer.late_samples,
                "skipped_samples": buffer.skipped_samples,
                "held_samples": buffer.held_samples,
                "concealed_samples": buffer.reader.concealed_samples,
                "lost_samples": self.lost_samples,
                "frames": self.frames,
            },
        )

    def _age_ms(self, now_ns: int) -> float:
        """Since what is emitted now was captured at the other host; 0 where nobody knows."""
        end, captured_ns = self._capture
        if not captured_ns or not self.buffer.playing:
            return 0.0
        return (now_ns - captured_ns) / 1e6 + (end - self.buffer.place) / self.buffer.rate * 1e3


def _captured_here(captured_ns: int, offset: ClockOffset | None) -> int:
    """By this host's clock; 0 where nobody knows."""
    if offset is None or not captured_ns:
        return captured_ns
    return offset.here(captured_ns) if offset.known else 0
