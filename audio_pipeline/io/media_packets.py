"""One pass over an audio track of a container, packet by packet: what cannot be decoded is skipped and counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import av

from audio_pipeline.io.media import reason
from audio_pipeline.io.media_faults import DAMAGED, Faults
from audio_pipeline.io.media_lost import Lost

MOST_FAILURES = 1000  # errors in a row after which a file counts as over
RAW = {"mp3", "aac"}  # their time stamps count the frames that were found, and nothing tells which are lost


class Timed(NamedTuple):
    """A decoded frame and the time that its stamp tells, in seconds."""

    frame: Any
    at_s: float | None


class Packets:
    """Frames in order from wherever the container stands."""

    def __init__(self, container: Any, stream: Any, faults: Faults) -> None:
        self._container, self._stream, self._faults = container, stream, faults
        self._base = float(stream.time_base)
        self._is_raw = container.format.name in RAW
        self._lost = Lost()
        self._shift_s = 0.0  # of frames that were not even found, ahead of the packet in hand
        self._at_s = 0.0
        self.skipping_until_s: float | None = None  # packets ahead of this are not decoded

    def frames(self) -> Iterator[Timed]:
        """Every frame that can be decoded; it ends at the end of the file, or where nothing more comes of it."""
        for packet in self._packets():
            if self._is_skipped(packet):
                continue
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError) as e:
                if isinstance(e, OSError) and e.errno == 5:
                    raise
                self._faults.add(DAMAGED, self._at_s, detail=_cause(e))
                continue
            yield from (Timed(frame, self._time(frame.pts, frame.time_base)) for frame in frames if frame.samples)

    def _packets(self) -> Iterator[Any]:
        """Packets, also behind what the container's reader takes offence at."""
        failures, packets = 0, self._container.demux(self._stream)
        while failures < MOST_FAILURES:
            try:
                packet = next(packets, None)
            except av.error.InvalidDataError as e:
                failures += 1
                self._faults.add(DAMAGED, self._at_s + 1e-6 * failures, detail=_cause(e))
                packets = self._container.demux(self._stream)
                continue
            if packet is None:
                return
            failures = 0
            self._note(packet)
            yield packet

    def _note(self, packet: Any) -> None:
        if self._is_raw and packet.size:
            self._lost.take(memoryview(packet), float(packet.duration or 0) * self._base)
            self._shift_s = self._lost.seconds
        if packet.pts is not None:
            self._at_s = packet.pts * self._base + self._shift_s

    def _is_skipped(self, packet: Any) -> bool:
        if self.skipping_until_s is None or not packet.size:
            return False
        if packet.pts is not None and packet.pts * self._base + self._shift_s < self.skipping_until_s:
            return True
        self.skipping_until_s = None
        return False

    def _time(self, pts: int | None, base: Any) -> float | None:
        return None if pts is None else float(pts * base) + self._shift_s


def _cause(e: BaseException) -> str:
    return "invalid data" if isinstance(e, av.error.InvalidDataError) else reason(e)
