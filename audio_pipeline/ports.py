"""What happens at a node's ports: rate and channel conversion and repair of holes going in, framing going out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.dsp.level import sanitise
from audio_pipeline.dsp.reframe import Reframer
from audio_pipeline.dsp.resample import StreamResampler
from audio_pipeline.frame import Flag, Frame, Samples, audio_frame, gap_frame

MAX_HOLE_S = 1.0  # longer holes are a new beginning


class Converter:
    """Brings frames to the rate and channels that an input wants."""

    def __init__(self, rate: int, channels: int | None) -> None:
        self.rate = rate
        self.channels = channels
        self._resampler: StreamResampler | None = None
        self._expected = -1
        self._next_out = 0
        self._unsaid = Flag.NONE  # flags of frames that still are inside the filter

    def convert(self, frame: Frame) -> Frame:
        """The frame at the wanted rate; it may be empty while the filter fills."""
        if frame.event is not None or (frame.samples == 0 and not frame.flags & Flag.END):
            return replace(frame, position=self.map_position(frame.position, frame.rate), rate=self.rate)
        if frame.rate == self.rate:
            return self._rechannel(frame)
        return self._resample(self._rechannel(frame))

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
        flags = (frame.flags | self._unsaid) & ~Flag.GAP
        self._unsaid = Flag.NONE if len(y) or flags & Flag.END else flags
        position, self._next_out = self._next_out, self._next_out + len(y)
        inside_ns = round((frame.end / frame.rate - self._next_out / self.rate) * 1e9)
        captured_ns = frame.captured_ns - inside_ns if frame.captured_ns else 0
        return replace(frame, data=y, position=position, samples=len(y), rate=self.rate, flags=flags,
                       captured_ns=captured_ns)  # fmt: skip

    def reset(self) -> None:
        """What comes next is no neighbour of what came."""
        self._resampler, self._unsaid = None, Flag.NONE


class Continuity:
    """Makes a stream gapless for nodes that want it so: fills short holes, trims what came twice."""

    def __init__(self) -> None:
        self.expected: int | None = None

    def repair(self, frame: Frame) -> Iterator[Frame]:
        """The frame, with a CONCEALED gap before it where samples are missing, or trimmed, or nothing."""
        if not frame.samples and not frame.flags & Flag.END:  # idle: nothing is said of what lies between
            return
        hole = 0 if self.expected is None else frame.position - self.expected
        if frame.flags & Flag.DISCONTINUITY:
            hole = 0
        if 0 < hole <= MAX_HOLE_S * frame.rate and self.expected is not None:
            yield replace(
                gap_frame(hole, self.expected, frame.rate, max(frame.channels, 1), flags=Flag.CONCEALED),
                generation=frame.generation, epoch=frame.epoch, captured_ns=frame.captured_ns,
            )  # fmt: skip
        elif hole < 0:
            frame = _trimmed(frame, -hole)
        elif hole > 0:
            frame = replace(frame, flags=frame.flags | Flag.DISCONTINUITY)
        if frame.samples or frame.flags & Flag.END:
            self.expected = max(frame.end, self.expected or 0) if hole < 0 else frame.end
            yield frame

    def reset(self) -> None:
        self.expected = None


def _trimmed(frame: Frame, seen: int) -> Frame:
    seen = min(seen, frame.samples)
    data = None if frame.data is None else frame.data[seen:]
    return replace(frame, data=data, position=frame.position + seen, samples=frame.samples - seen)


class Framer:
    """Cuts what a node emits into frames of fixed size and stamps them with their capture time."""

    def __init__(
        self,
        frame_samples: int,
        graph_rate: int,
        send: Callable[[Frame], None],
        count: Callable[[str, int], None],
    ) -> None:
        self._frame_samples = frame_samples
        self._graph_rate = graph_rate
        self._send = send
        self._count = count
        self._reframer: Reframer | None = None
        self._format = (0, 0)
        self._flags = Flag.NONE
        self._capture = (0, 0)  # position just after a sample, host time of its capture
        self.end: int | None = None
        self.generation = 0

    def emit(self, data: Samples, position: int, rate: int, flags: Flag, captured_ns: int) -> None:
        """Takes (samples, channels); whole frames go out at once."""
        if data.ndim != 2:
            raise ValueError(f"emit got an array of shape {data.shape}, expected (samples, channels)")
        data, bad = sanitise(np.asarray(data, np.float32))
        if bad:
            self._count("bad_samples", bad)
        if self.end is not None and position != self.end:
            self.flush()
            flags |= Flag.DISCONTINUITY
        if self._reframer is None or self._format != (rate, data.shape[1]):
            self._restart(rate, data.shape[1])
        assert self._reframer is not None
        self._flags |= flags
        self._capture = (position + len(data), captured_ns)
        self.end = position + len(data)
        for start, block in self._reframer.push(position, data):
            self._out(start, block)

    def _restart(self, rate: int, channels: int) -> None:
        self.flush()
        self._format = (rate, channels)
        self._reframer = Reframer(channels, max(round(self._frame_samples * rate / self._graph_rate), 1))

    def _out(self, position: int, block: Samples) -> None:
        rate = self._format[0]
        end, captured_ns = self._capture
        captured_ns -= round((end - position - len(block)) / rate * 1e9)
        frame = audio_frame(
            block, position, rate, flags=self._flags, captured_ns=captured_ns, generation=self.generation
        )
        self._flags = Flag.NONE
        self._send(frame)

    def flush(self) -> None:
        """Sends the rest as a short frame."""
        for start, block in self._reframer.flush() if self._reframer else ():
            self._out(start, block)

    def cancel(self, generation: int) -> None:
        """Throws the rest away; what comes next is another generation."""
        self._reframer, self.end, self.generation = None, None, generation
        self._format, self._flags = (0, 0), Flag.DISCONTINUITY

    def last(self, position: int, rate: int, channels: int, captured_ns: int) -> Frame:
        """The END frame."""
        self.flush()
        at = self.end if self.end is not None else position
        rate, channels = self._format if self._format[0] else (rate, channels)
        return gap_frame(0, at, rate, channels, flags=Flag.END, captured_ns=captured_ns, generation=self.generation)
