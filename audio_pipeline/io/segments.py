"""Utterances as files of their own, cut where the frames are flagged."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.io.wav import PART, Subtype, WavWriter, repair

MAX_HOLE_S = 10


class Segment(NamedTuple):
    """A finished file and the positions it covers."""

    track: str
    path: Path
    start: int
    end: int


class _Open(NamedTuple):
    writer: WavWriter
    start: int


class Segments:
    """Writes a numbered WAV for each stretch from SEGMENT_START to SEGMENT_END, frames included whole.

    Names hold the number and the start in seconds alone; numbers go on from those found in the folder.
    """

    def __init__(self, folder: Path, subtype: Subtype) -> None:
        self._folder, self._subtype = folder, subtype
        self._open: dict[str, _Open] = {}
        for part in sorted(folder.glob(f"segment_*.wav{PART}")):
            repair(part)
        numbers = [path.name.split("_")[1] for path in folder.glob("segment_*_*s.wav")]
        self._number = max((int(number) for number in numbers if number.isdecimal()), default=0)

    def put(self, track: str, frame: Frame) -> list[Segment]:
        """Takes a track's next frame; returns the segments that it ended."""
        starts, ends = frame.flags & Flag.SEGMENT_START, frame.flags & Flag.SEGMENT_END
        done = []
        if track in self._open:
            self._write(track, frame)
            if ends:
                done.append(self._finish(track, frame.end))
        if starts and track not in self._open:
            self._start(track, frame)
            if ends and not done:
                done.append(self._finish(track, frame.end))
        return done

    def close(self) -> list[Segment]:
        """Finishes what is open."""
        return [self._finish(track, self._end(track)) for track in list(self._open)]

    def _end(self, track: str) -> int:
        return self._open[track].start + self._open[track].writer.samples

    def _start(self, track: str, frame: Frame) -> None:
        self._number += 1
        name = f"segment_{self._number:04d}_{frame.position / frame.rate:.2f}s.wav"
        writer = WavWriter.open(self._folder / name, frame.rate, frame.channels, self._subtype)
        self._open[track] = _Open(writer, frame.position)
        self._write(track, frame)

    def _write(self, track: str, frame: Frame) -> None:
        """A hole inside an utterance is silence, so that its length stays true."""
        writer = self._open[track].writer
        hole = min(max(frame.position - self._end(track), 0), MAX_HOLE_S * frame.rate)
        writer.write(np.zeros((hole, writer.format.channels), np.float32))
        writer.write(to_channels(frame.audio(), writer.format.channels))

    def _finish(self, track: str, end: int) -> Segment:
        open_ = self._open.pop(track)
        return Segment(track, open_.writer.close(), open_.start, end)
