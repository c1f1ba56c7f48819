"""What a recorder leaves in its folder: tracks or segments, and lines of events.

All of it belongs to one thread, which may wait for disks. Whatever the disk refuses ends the track that it hits and
nothing else. What there is to tell is kept as notices.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import PipelineError
from audio_pipeline.files.segments import Segment, Segments
from audio_pipeline.files.take import Take
from audio_pipeline.frame import Frame

SYNC_S = 1.0
SAVE_SHARE = 4  # a sidecar that takes long to write is left alone for so many times as long: sound comes first
Samples = NDArray[np.float32]


class Block(NamedTuple):
    """A stretch of one track: (n, channels), or that many samples of silence."""

    track: str
    position: int
    x: Samples | int
    rate: int
    channels: int
    stream: int = 0
    what: str = ""  # `gaps` or `concealed` where x is not the stream's own


class Notice(NamedTuple):
    """`saved`, `segment`, `error` or `filled`, with its data."""

    kind: str
    track: str
    position: int
    data: dict[str, Any]


class Recording:
    """Everything in the folder, one call after the other; none of them raises for what the disk does."""

    def __init__(
        self, take: Take, segments: Segments | None, events: Path, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.take, self.segments = take, segments
        self.notices: deque[Notice] = deque()
        self._events, self._clock = events, clock
        self._save_again_s = 0.0
        self._failed: set[str] = set()
        self._touched: set[str] = set()  # tracks with something that the system has not got yet
        self._lines: dict[str, list[str]] = {}

    def put(self, block: Block) -> None:
        """The next of a track."""
        if block.track in self._failed:
            return
        try:
            track = self.take.track(block.track, block.position, block.rate, block.channels, block.stream)
            self._touched.add(block.track)
            clipped = track.writer.clipped
            filled = track.put(block.position, block.x, block.what)
        except PipelineError as error:
            self._fail(block.track, error, block.position)
            return
        if filled or track.writer.clipped > clipped:
            data = {"filled": filled, "clipped": track.writer.clipped - clipped}
            self.notices.append(Notice("counted", block.track, block.position, data))

    def segment(self, name: str, frame: Frame) -> None:
        """The next of a stream that is cut into utterances."""
        assert self.segments is not None
        if name in self._failed:
            return
        try:
            self._notify(self.segments.put(name, frame))
        except PipelineError as error:
            self._fail(name, error, frame.position)

    def line(self, name: str, text: str) -> None:
        """One event of an input, as text."""
        if name not in self._failed:
            self._lines.setdefault(name, []).append(text + "\n")

    def finish(self, name: str, end: int | None = None) -> None:
        """No more of a track, which got to position `end`."""
        self._touched.discard(name)
        if name not in self.take.tracks:
            return
        position = self.take.tracks[name].position
        try:
            info = self.take.finish(name, end)
        except PipelineError as error:
            self._fail(name, error, position)
            return
        data = {"path": str(self.take.folder / info.file), "samples": info.samples, "clipped": info.clipped}
        self.notices.append(Notice("saved", name, max(position, end or 0), {**data, "peak": info.peak}))

    def forgive(self, name: str) -> None:
        """The input was taken away: should it come back, it gets a new file, whatever the disk refused before."""
        self._failed.discard(name)

    def close(self) -> None:
        """Finishes what is open."""
        if self.segments is not None:
            try:
                self._notify(self.segments.close())
            except PipelineError as error:
                self._fail("segments", error, 0)
        for name in list(self.take.tracks):
            self.finish(name)

    def flush(self) -> None:
        """Gives the system everything that was put."""
        for name in sorted(self._touched & set(self.take.tracks)):
            try:
                self.take.flush(name)
            except PipelineError as error:
                self._fail(name, error, self.take.tracks[name].position)
        self._touched.clear()
        lines, self._lines = self._lines, {}
        for name, texts in lines.items():
            self._append(name, "".join(texts))

    def _append(self, name: str, text: str) -> None:
        try:
            with self._events.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            self._fail(name, PipelineError(f"recording {self._events}: {error.strerror or error}"), 0)

    def tick(self) -> float | None:
        """Does one thing that is due, a file to be synced or the sidecar; seconds until the next, None for never."""
        now = self._clock()
        behind = [(track.synced_s, name) for name, track in self.take.tracks.items() if not track.writer.is_synced]
        if behind and now - min(behind)[0] >= SYNC_S:
            self._sync(min(behind)[1])
            return 0.0
        if now >= self._save_again_s:
            self._save(now)
        return max(SYNC_S - (now - min(behind)[0]), 0.0) if behind else None

    def _save(self, now: float) -> None:
        try:
            self.take.save_due(now)
        except PipelineError as error:
            for name in list(self.take.tracks):
                self._fail(name, error, self.take.tracks[name].position)
        end = self._clock()
        self._save_again_s = end + SAVE_SHARE * (end - now)

    def _sync(self, name: str) -> None:
        track = self.take.tracks[name]
        try:
            track.writer.sync()
        except PipelineError as error:
            self._fail(name, error, track.position)
        track.synced_s = self._clock()

    def _fail(self, name: str, error: PipelineError, position: int) -> None:
        """One track ends here: what is on disk is readable without its end."""
        self._failed.add(name)
        self._touched.discard(name)
        if name in self.take.tracks:
            with suppress(PipelineError):
                self.take.finish(name)
        # last: offline the run ends with this notice, and the file must have its name by then
        self.notices.append(Notice("error", name, position, {"error": error}))

    def _notify(self, segments: list[Segment]) -> None:
        for track, path, start, end in segments:
            self.notices.append(Notice("segment", track, end, {"path": str(path), "start": start, "end": end}))
