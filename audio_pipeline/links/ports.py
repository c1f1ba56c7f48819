"""What happens at a node's ports: rate and channel conversion and repair of holes going in, framing going out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.dsp.fade import fade_out
from audio_pipeline.dsp.level import sanitise
from audio_pipeline.dsp.ramp import Ramp
from audio_pipeline.dsp.reframe import Reframer
from audio_pipeline.dsp.resample import StreamResampler
from audio_pipeline.frame import Flag, Frame, Samples, check_format, gap_frame

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
        self._marks: list[tuple[int, Flag]] = []  # what is to be said of the frame that holds a position
        self._concealed: list[tuple[int, int]] = []  # spans of samples that are CONCEALED
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
        if flags:
            self._note(flags, position, position + len(data))
        self._capture = (position + len(data), captured_ns)
        self.end = position + len(data)
        for start, block in self._reframer.push(position, data):
            self._out(start, block)

    def _note(self, flags: Flag, start: int, end: int) -> None:
        """A block may become several frames: its beginning is the first one's, its end the last one's."""
        if flags & Flag.CONCEALED:
            self._concealed.append((start, end))
        at_end = flags & Flag.SEGMENT_END
        self._marks += [(max(end - 1, start), at_end)] if at_end else []
        at_start = flags & ~(Flag.CONCEALED | Flag.SEGMENT_END)
        self._marks += [(start, at_start)] if at_start else []

    def _flags_before(self, end: int) -> Flag:
        if not self._concealed and not self._marks:
            return Flag.NONE
        flags = Flag.CONCEALED if any(start < end for start, _ in self._concealed) else Flag.NONE
        for at, flag in self._marks:
            flags |= flag if at < end else Flag.NONE
        self._marks = [mark for mark in self._marks if mark[0] >= end]
        self._concealed = [span for span in self._concealed if span[1] > end]
        return flags

    def _restart(self, rate: int, channels: int) -> None:
        check_format(rate, channels)
        self.flush()
        self._format = (rate, channels)
        self._reframer = Reframer(channels, max(round(self._frame_samples * rate / self._graph_rate), 1))

    def _out(self, position: int, block: Samples) -> None:
        rate = self._format[0]
        end, captured_ns = self._capture
        captured_ns -= round((end - position - len(block)) / rate * 1e9) if captured_ns else 0  # unknown stays unknown
        flags = self._flags_before(position + len(block))
        self._send(
            Frame(
                block,
                position,
                len(block),
                rate,
                self._format[1],
                flags,
                captured_ns=captured_ns,
                generation=self.generation,
            )
        )

    def flush(self) -> None:
        """Sends the rest as a short frame."""
        for start, block in self._reframer.flush() if self._reframer else ():
            self._out(start, block)

    def cancel(self, generation: int) -> None:
        """Throws the rest away; what comes next is another generation."""
        self._reframer, self.end, self.generation = None, None, generation
        self._format, self._marks, self._concealed = (0, 0), [(-1, Flag.DISCONTINUITY)], []

    def last(self, position: int, rate: int, channels: int, captured_ns: int) -> Frame:
        """The END frame."""
        self.flush()
        at = self.end if self.end is not None else position
        rate, channels = self._format if self._format[0] else (rate, channels)
        return gap_frame(0, at, rate, channels, flags=Flag.END, captured_ns=captured_ns, generation=self.generation)
