"""One pass over an audio track of a container, packet by packet: what cannot be decoded is skipped and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import av

from audio_pipeline.files.media_faults import DAMAGED, Faults
from audio_pipeline.files.media_file import FilePart
from audio_pipeline.files.media_lost import Lost
from audio_pipeline.files.media_mkv import end_of_block, void_over
from audio_pipeline.files.media_reader import reason

MOST_FAILURES = 1000  # errors in a row after which a file counts as over
MOST_LEFT = 8192
MOST_HELD = 200  # packets in which a file of frames has to show what it is
MOST_RESUMED = 50
LEAST_LEFT = 16  # bytes behind the last packet that are worth a look
_FRAMES = {"mp3", "aac", "ac3", "eac3", "amr", "dts"}
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS")
RAW = {"mp3", "aac"}  # their time stamps count the frames that were found, and nothing tells which are lost


class Again(NamedTuple):
    """How to open the same file once more, with what was patched in it."""

    part: FilePart
    open: Callable[[], tuple[Any, Any]]


class Timed(NamedTuple):
    """A decoded frame and the time that its stamp tells, in seconds."""

    frame: Any
    at_s: float | None


class Packets:
    """Frames in order from wherever the container stands."""

    def __init__(self, container: Any, stream: Any, faults: Faults, again: Again) -> None:
        self._container, self._stream, self._faults, self._again = container, stream, faults, again
        self._is_matroska = "matroska" in container.format.name
        self._resumed, self._behind = 0, -1  # how often, and the byte behind which packets are new
        self._base = float(stream.time_base)
        self._is_raw = container.format.name in RAW
        self._lost, self._is_junk = Lost(), False
        self._start = self._end = 0  # in bytes, of the last packet
        self._shift_s = 0.0  # of frames that were not even found, ahead of the packet in hand
        self._at_s = 0.0
        self.skipping_until_s: float | None = None  # packets ahead of this are not decoded

    def frames(self) -> Iterator[Timed]:
        """Every frame that can be decoded; it ends at the end of the file, or where nothing more comes of it."""
        for packet in self._settled():
            if self._is_skipped(packet):
                continue
            if self._is_junk:
                self._faults.add(DAMAGED, self._at_s, detail="invalid data")
                continue
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError) as e:
                self._faults.add(DAMAGED, self._at_s, detail=_cause(e))
                continue
            yield from (Timed(frame, self._time(frame.pts, frame.time_base)) for frame in frames if frame.samples)

    def _settled(self) -> Iterator[Any]:
        """Packets from the first one on whose successor is of its kind: in junk there are headers by chance."""
        packets, held = self._packets(), []
        if self._is_raw:
            for packet in packets:
                held.append(packet)
                if self._lost.is_settled or len(held) == MOST_HELD:
                    break
            if self._lost.is_settled:
                self._lost.seconds -= sum(float(packet.duration or 0) for packet in held[:-2]) * self._base
                held, self._shift_s = held[-2:], self._lost.seconds
        yield from held
        yield from packets

    def _packets(self) -> Iterator[Any]:
        """Packets, also behind what the container's reader takes offence at."""
        failures, packets = 0, self._container.demux(self._stream)
        while failures < MOST_FAILURES:
            try:
                packet = next(packets, None)
            except (av.error.InvalidDataError, IndexError) as e:  # the latter: of a track that came up later
                failures += 1
                self._faults.add(DAMAGED, self._at_s + 1e-6 * failures, detail=_cause(e))
                packets = self._resume() or self._container.demux(self._stream)
                continue
            finally:
                self._again.part.check()
            if packet is None or _is_last(packet):
                packets = self._resume()
                if packets is not None:
                    continue
                if packet is not None:
                    yield packet
                return
            failures = 0
            if packet.pos is None or packet.pos >= self._behind:
                self._note(packet)
                if packet.size:
                    yield packet
                else:  # a decoder would take it for the end
                    self._faults.add(DAMAGED, self._at_s, detail="an empty packet")

    def _resume(self) -> Any:
        """Packets from behind damage that the container's reader gives up at; None where there are none."""
        part = self._again.part
        if not self._is_matroska or self._resumed >= MOST_RESUMED or part.size - self._end < LEAST_LEFT:
            return None
        start = end_of_block(part, self._start)
        found = void_over(part, start) if start > self._behind else None
        if found is None:
            return None
        self._resumed, self._behind = self._resumed + 1, found[0]
        self._faults.add(DAMAGED, self._at_s + 1e-3, detail="invalid data")
        part.patches.update(found[1])
        self._container, self._stream = self._again.open()
        return self._container.demux(self._stream)

    def _note(self, packet: Any) -> None:
        self._is_junk = False
        if self._is_raw and packet.size:
            self._is_junk = not self._lost.take(memoryview(packet), float(packet.duration or 0) * self._base)
            self._shift_s = self._lost.seconds
        if packet.pos is not None:
            self._start, self._end = packet.pos, packet.pos + packet.size
        if packet.pts is not None:
            self._at_s = packet.pts * self._base + self._shift_s

    def is_cut(self, part: FilePart) -> bool:
        """Whether a file of frames, or of blocks of 188 bytes, ends within one of them."""
        names = set(self._container.format.name.split(","))
        if "mpegts" in names:
            return bool(part.size % 188)
        left = part.size - self._end
        return bool(names & _FRAMES) and 4 < left < MOST_LEFT and not part.peek(self._end, left).startswith(_TAGS)

    def _is_skipped(self, packet: Any) -> bool:
        if self.skipping_until_s is None or not packet.size:
            return False
        if packet.pts is not None and packet.pts * self._base + self._shift_s < self.skipping_until_s:
            return True
        self.skipping_until_s = None
        return False

    def _time(self, pts: int | None, base: Any) -> float | None:
        return None if pts is None else float(pts * base) + self._shift_s


def _is_last(packet: Any) -> bool:
    """Whether it is the empty one, of no time, that PyAV makes at the end for the decoder."""
    return not packet.size and packet.dts is None and packet.pts is None


def _cause(e: BaseException) -> str:
    return "invalid data" if isinstance(e, av.error.InvalidDataError) else reason(e)
