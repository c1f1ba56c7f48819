"""What happens at a node's inputs: conversion of rate and channels, and repair of holes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.dsp.fade import fade_out
from audio_pipeline.dsp.ramp import Ramp
from audio_pipeline.dsp.resample import StreamResampler
from audio_pipeline.frame import Flag, Frame, Samples

MAX_HOLE_S = 1.0  # longer holes are a new beginning
FADE_MS = 10


class Converter:
    """Brings frames to the rate and channels that an input wants."""

    def __init__(self, rate: int, channels: int | None) -> None:
        self.rate = rate
        self.channels = channels
        self._resampler: StreamResampler | None = None
        self._expected = -1
        self._next_out = 0
        self._pending = Flag.NONE  # flags of frames that still are inside the filter

    def convert(self, frame: Frame) -> Frame:
        """The frame at the wanted rate; it may be empty while the filter fills."""
        if frame.event is not None or (frame.samples == 0 and not frame.flags & Flag.END):
            return replace(frame, position=self.map_position(frame.position, frame.rate), rate=self.rate)
        if frame.rate == self.rate:
            return self._rechannel(frame)
        return self._resample(self._rechannel(frame))

    def passes(self, frame: Frame) -> bool:
        """True for samples that are as they are wanted."""
        return frame.rate == self.rate and (self.channels is None or frame.channels == self.channels)

    def map_position(self, position: int, rate: int) -> int:
        """A position at another rate, in this input's rate."""
        return -(-position * self.rate // rate)

    def _rechannel(self, frame: Frame) -> Frame:
        if self.channels is None or frame.channels == self.channels:
            return frame
        if frame.data is None:
            return replace(frame, channels=self.channels)
        return frame.with_data(to_channels(frame.data, self.channels), frame.position, frame.rate)

    def _resample(self, frame: Frame) -> Frame:
        resampler = self._resampler
        if resampler is None or (resampler.rate_in, resampler.channels) != (frame.rate, frame.channels):
            resampler = self._resampler = StreamResampler(frame.rate, self.rate, max(frame.channels, 1))
            self._expected = -1
        x = frame.audio()
        if frame.position != self._expected:  # a new beginning has to fall on a whole output position
            resampler.reset()
            first = min(resampler.next_start(frame.position), frame.end)
            x = x[first - frame.position :]
            self._next_out = resampler.map_position(first)
        self._expected = frame.end if len(x) or frame.position == self._expected else -1
        y = resampler.process(x) if len(x) else x
        if frame.flags & Flag.END:
            y = np.concatenate([y, resampler.flush()])
        flags = (frame.flags | self._pending) & ~Flag.GAP
        self._pending = Flag.NONE if len(y) or flags & Flag.END else flags
        position, self._next_out = self._next_out, self._next_out + len(y)
        inside_ns = round((frame.end / frame.rate - self._next_out / self.rate) * 1e9)
        captured_ns = frame.captured_ns - inside_ns if frame.captured_ns else 0
        return replace(
            frame, data=y, position=position, samples=len(y), rate=self.rate, flags=flags, captured_ns=captured_ns
        )

    def reset(self) -> None:
        """What comes next is no neighbour of what came."""
        self._resampler, self._pending = None, Flag.NONE


class Continuity:
    """Makes a stream gapless for nodes that want it so: fills short holes, trims what came twice.

    What is lost fades out and in again within 10 ms, so that a node behind a lossy link hears no clicks.
    """

    def __init__(self) -> None:
        self.expected: int | None = None
        self._last: Samples | None = None  # the newest samples, as they came
        self._entry: Ramp | None = None

    def repair(self, frame: Frame) -> Iterable[Frame]:
        """The frame, with a CONCEALED gap before it where samples are missing, or trimmed, or nothing."""
        return (frame,) if self.follows(frame) else self._repaired(frame)

    def follows(self, frame: Frame) -> bool:
        """True where it needs no repair, as nearly always; then the next one has to follow it."""
        if frame.position != self.expected or not frame.samples or self._entry is not None:
            return False
        self.expected, self._last = frame.end, frame.data
        return True

    def _repaired(self, frame: Frame) -> Iterator[Frame]:
        if not frame.samples and not frame.flags & Flag.END:  # idle: nothing is said of what lies between
            return
        hole = 0 if self.expected is None else frame.position - self.expected
        if frame.flags & Flag.DISCONTINUITY:
            hole = 0
        if 0 < hole <= MAX_HOLE_S * frame.rate and self.expected is not None:
            yield self._concealed(hole, frame)
        elif hole < 0:
            frame = _trimmed(frame, -hole)
        elif hole > 0:
            frame = replace(frame, flags=frame.flags | Flag.DISCONTINUITY)
        if frame.samples or frame.flags & Flag.END:
            self.expected = max(frame.end, self.expected or 0) if hole < 0 else frame.end
            self._last = frame.data if frame.samples else self._last
            yield self._faded_in(frame)

    def _concealed(self, hole: int, frame: Frame) -> Frame:
        """What stands for `hole` samples before `frame`: the last ones mirrored, faded to silence."""
        data = np.zeros((hole, max(frame.channels, 1)), np.float32)
        fade = frame.rate * FADE_MS // 1000
        if self._last is not None and self._last.shape[1] == data.shape[1]:
            k = min(fade, hole, len(self._last))
            data[:k] = self._last[::-1][:k] * fade_out(k)[:, None]
        self._entry = Ramp(0.0, fade)
        self._entry.set(1.0)
        concealed = frame.with_data(data, frame.position - hole, frame.rate)
        captured_ns = frame.captured_ns - round(frame.samples / frame.rate * 1e9) if frame.captured_ns else 0
        return replace(concealed, flags=Flag.CONCEALED, captured_ns=captured_ns)

    def _faded_in(self, frame: Frame) -> Frame:
        if self._entry is None or frame.data is None:
            return frame
        data = self._entry.process(frame.data)
        self._entry = self._entry if self._entry.moving else None
        return frame.with_data(data, frame.position, frame.rate)

    def reset(self) -> None:
        self.expected = self._last = self._entry = None


def _trimmed(frame: Frame, seen: int) -> Frame:
    seen = min(seen, frame.samples)
    data = None if frame.data is None else frame.data[seen:]
    return replace(frame, data=data, position=frame.position + seen, samples=frame.samples - seen)
