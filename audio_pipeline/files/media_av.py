"""Sound files through FFmpeg's libraries."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from audio_pipeline.dsp import limits
from audio_pipeline.dsp.channels import is_placed
from audio_pipeline.errors import MediaError
from audio_pipeline.files.media_container import ERRORS, open_track
from audio_pipeline.files.media_facts import Facts, facts_of
from audio_pipeline.files.media_faults import CHANGE, Faults
from audio_pipeline.files.media_file import FilePart, NotReadError, Patches
from audio_pipeline.files.media_fit import Fit, Samples, layout_of, samples_of
from audio_pipeline.files.media_line import Line
from audio_pipeline.files.media_packets import Again, Packets, Timed
from audio_pipeline.files.media_reader import MediaReader, reason
from audio_pipeline.files.media_riff import is_empty, mended

PREROLL = 16384  # samples decoded ahead of a jump: more than AAC with SBR, or Opus (80 ms), needs to settle
SILENCE = 65536  # samples of a gap at a time
MOST_POSITION = 1 << 62
SHORT_S = 0.1  # a header in milliseconds, or of whole packets, says that much more than there is
CUT = 8192  # samples at the end that a last packet has too many or a first one has cost


class AvReader(MediaReader):
    """One track of a file that FFmpeg decodes, its encoder delay left out where the container tells it.

    Where packets have exact times, a seek jumps close by, decodes and discards; MP3 and AAC without a container are
    gone through packet by packet, undecoded (half a second an hour). Elsewhere times are rounded, so that a seek
    backwards decodes from the start: exact as well, but slower (an hour takes some 4 s). A codec's own random noise
    (AAC's PNS) differs from one pass to the next.
    """

    def __init__(
        self, path: Path, track: int = 1, start: int = 0, end: int | None = None, *, patches: Patches | None = None
    ) -> None:
        self.path, self.position, self.faults = path, 0, Faults()
        self._track = track
        self._part = FilePart(path, start, end)
        self._part.patches = patches or mended(self._part)
        self._container: Any = None
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        """Opens the container and decodes its first frame, which tells the format."""
        self._open()
        self._facts: Facts = facts_of(self._container, self._stream, self._part)
        self._packets = self._new_packets()
        frames = self._packets.frames()
        try:
            first = next(frames, None)
        except ERRORS as e:
            raise NotReadError(f"{self.path}: is not a sound file that can be read ({reason(e)})") from e
        if first is None or is_empty(self._part):
            raise self._nothing()
        self.rate, self.layout = int(first.frame.sample_rate), layout_of(first.frame)
        self.channels = int(first.frame.layout.nb_channels)
        limits.check_format(self.path, self.rate, self.channels)
        self.samples = self._facts.samples(self.rate)
        if not is_placed(self.layout, self.channels):
            self.faults.layout = f"of its {self.channels} channels a stereo mix has the first two"
        self._line = Line(self.rate, self._facts, self.faults)
        self._run(_with(first, frames))

    def _nothing(self) -> MediaError:
        if self.faults.damaged_frames:
            return NotReadError(f"{self.path}: is not a sound file that can be read (no sound in it can be decoded)")
        return MediaError(f"{self.path}: holds no sound, not one sample")

    def _new_packets(self) -> Packets:
        return Packets(self._container, self._stream, self.faults, Again(self._part, self._open))

    def _run(self, frames: Iterator[Timed]) -> None:
        self._fit, self._format = Fit(self.rate, self.channels), (self.rate, self.channels)
        self._sound = self._pieces(frames)
        self._rest = np.zeros((0, self.channels), np.float32)

    def _decode(self) -> Samples:
        try:
            return next(self._sound, self._rest[:0])
        except ERRORS as e:
            raise self._why(e) from e

    def _pieces(self, frames: Iterator[Timed]) -> Iterator[Samples]:
        """Sound on the time line, never empty: gaps filled, what is doubled left out, of one format."""
        held = next(frames, None)
        while held is not None:
            following = next(frames, None)
            for piece in self._placed(held, following):
                if len(piece):
                    yield piece
            held = following
        yield from (piece for piece in (self._fit.flush(), self._ending()) if len(piece))

    def _placed(self, timed: Timed, following: Timed | None) -> Iterator[Samples]:
        frame = timed.frame
        if (frame.sample_rate, frame.layout.nb_channels) != self._format:
            yield self._change(frame)
        x = samples_of(frame)
        extra = self._line.correction(timed.at_s, len(x), following.at_s if following else None)
        if extra < 0:
            x = x[-extra:]
        while extra > 0:
            quiet = min(extra, SILENCE)
            extra -= quiet
            yield self._put(np.zeros((quiet, x.shape[1]), np.float32), ())
        if following is None:
            x = self._cut(x)
        yield self._put(x, layout_of(frame))

    def _put(self, x: Samples, layout: tuple[str, ...]) -> Samples:
        self._line.add(len(x))
        return self._fit.process(x, layout)

    def _change(self, frame: Any) -> Samples:
        """What is left of the format before, when another one begins."""
        limits.check_format(self.path, int(frame.sample_rate), int(frame.layout.nb_channels))
        detail = f"from {self.rate} Hz, {self.channels} channels to {frame.sample_rate} Hz, {frame.layout.nb_channels}"
        self._format = int(frame.sample_rate), int(frame.layout.nb_channels)
        if self._is_other(frame):
            self.faults.add(CHANGE, self._line.place_s, detail=detail)
        if frame.sample_rate == self._line.own:
            return np.zeros((0, self.channels), np.float32)
        self._line.change(int(frame.sample_rate))
        return self._fit.change(int(frame.sample_rate))

    def _cut(self, x: Samples) -> Samples:
        """Of the last frame what lies within the declared length."""
        if self.samples is None or self._line.own != self.rate:
            return x
        over = self._line.place + len(x) - self.samples
        return x[:-over] if 0 < over < min(len(x), CUT) else x

    def _ending(self) -> Samples:
        """Silence in the place of a last piece that the codec swallowed; said, where more is missing."""
        place = self._line.place
        self._note_cut(place / self.rate)
        missing = 0 if self.samples is None else self.samples - place
        if 0 < missing <= CUT:
            return np.zeros((missing, self.channels), np.float32)
        if missing:
            assert self.samples is not None
            if missing > 0:
                self.faults.ends_s = place / self.rate, self.samples / self.rate
            self.samples = place
        return np.zeros((0, self.channels), np.float32)

    def _note_cut(self, place_s: float) -> None:
        """Whether there should be more, by what else the container tells."""
        declared_s = max(place_s * self._facts.share, self._facts.header_s or 0.0)
        if declared_s > place_s + SHORT_S:
            self.faults.ends_s = place_s, declared_s
        self.faults.is_cut |= self._packets.is_cut(self._part)

    def _seek(self, sample: int) -> None:
        ahead = sample - self.position
        try:
            if not (0 <= ahead < self.rate or self._jump(sample)) and sample < self.position:
                self._rewind()
        except ERRORS as e:
            raise self._why(e) from e
        self._read_on(sample)

    def _why(self, e: BaseException) -> MediaError:
        """What to raise for an error of the decoder: the disk's own, if that is behind it."""
        try:
            self._part.check()
        except OSError as cause:
            e = cause
        return self.failed(e)

    def _jump(self, sample: int) -> bool:
        """Go to a packet ahead of `sample` by the preroll; not to the start, whose priming a jump misses."""
        target = sample - PREROLL
        if target <= PREROLL or self.faults.tallies[CHANGE].count or not self._facts.jumps:
            return False
        if not self._go(target / self.rate + self._line.zero_s, back=sample < self.position):
            return False
        frames = self._packets.frames()
        next(frames, None)  # it lacks the packet before it, which its transform overlaps with
        found = next(frames, None)
        if found is None or found.at_s is None or self._is_other(found.frame) or self._line.start(found.at_s) > sample:
            self.position = sample + 1  # not to be relied on: decode from the start
            return False
        self.position = self._line.place
        self._run(_with(found, frames))
        return True

    def _go(self, at_s: float, back: bool) -> bool:
        if self._facts.skips:
            if back:
                self._open()
                self._packets = self._new_packets()
            else:
                self._stream.codec_context.flush_buffers()
            self._packets.skipping_until_s = at_s
            return True
        try:
            self._container.seek(math.floor(at_s / self._stream.time_base), stream=self._stream)
        except av.error.FFmpegError:
            self._part.check()
            self.position = MOST_POSITION  # wherever it stands now: decode from the start
            return False
        self._packets = self._new_packets()
        return True

    def _is_other(self, frame: Any) -> bool:
        return bool((frame.sample_rate, frame.layout.nb_channels) != (self.rate, self.channels))

    def _rewind(self) -> None:
        self._open()
        self._packets = self._new_packets()
        self._line = Line(self.rate, self._facts, self.faults)
        self.position = 0
        self._run(self._packets.frames())

    def _open(self) -> tuple[Any, Any]:
        """The container from its start, and the track."""
        if self._container is not None:
            self._container.close()
        self._container = None
        self._container, self._stream = open_track(self._part, self.path, self._track)
        return self._container, self._stream

    def cancel_by(self, is_cancelled: Callable[[], bool]) -> None:
        self._part.is_cancelled = is_cancelled

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
        self._part.close()


def _with(first: Timed, rest: Iterator[Timed]) -> Iterator[Timed]:
    yield first
    yield from rest
