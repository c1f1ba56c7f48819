"""Utterances as files of their own, cut where the frames are flagged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.errors import MediaError, PipelineError
from audio_pipeline.files.sidecar import SIDECAR, read_tracks
from audio_pipeline.files.wav import WavWriter, repair
from audio_pipeline.files.wav_format import Subtype
from audio_pipeline.files.wav_part import PART
from audio_pipeline.frame import Flag, Frame

MAX_HOLE_S = 10


LIST = "segments.jsonl"


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

    Names hold the number and the start in seconds alone; numbers go on from those found in the folder. Each finished
    one is a line of `segments.jsonl`.
    """

    def __init__(self, folder: Path, subtype: Subtype, run: str = "") -> None:
        self._folder, self._subtype, self._run = folder, subtype, run
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
        """Finishes what is open: all of it, also where the disk refuses one."""
        done, refused = [], None
        for track in list(self._open):
            try:
                done.append(self._finish(track, self._end(track)))
            except PipelineError as error:
                refused = error
        if refused:
            raise refused
        return done

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
        writer.skip(hole)
        writer.write(to_channels(frame.audio(), writer.format.channels))

    def _finish(self, track: str, end: int) -> Segment:
        open_ = self._open.pop(track)
        segment = Segment(track, open_.writer.close(), open_.start, end)
        entry = {
            "run": self._run,
            "track": track,
            "file": segment.path.name,
            "start": open_.start,
            "end": end,
            "clipped": open_.writer.clipped,
        }
        path = self._folder / LIST
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise PipelineError(f"recording {path}: {error.strerror or error}") from error
        return segment


def listed(folder: Path) -> Iterator[dict[str, Any]]:
    """What `segments.jsonl` says of each finished segment."""
    path = folder / LIST
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # torn
        if isinstance(entry, dict) and isinstance(entry.get("file"), str) and Path(entry["file"]).name == entry["file"]:
            yield entry


def finished_by(folder: Path, run: str) -> list[str]:
    """The files in a folder that a run says it finished there: tracks and segments."""
    try:
        tracks = [info.file for info in read_tracks(folder / SIDECAR).values() if info.run == run and info.finished]
    except MediaError:
        tracks = []
    return tracks + [str(entry["file"]) for entry in listed(folder) if entry.get("run") == run]
