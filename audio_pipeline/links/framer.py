"""What happens at a node's outputs: blocks of any length become frames of one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from audio_pipeline.dsp.level import sanitise
from audio_pipeline.dsp.reframe import Reframer
from audio_pipeline.frame import Flag, Frame, Samples, check_format, gap_frame


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
