"""Writes its inputs to disk: a WAV a track, events as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audio_pipeline.errors import PipelineError
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.io.segments import Segment, Segments
from audio_pipeline.io.take import Take
from audio_pipeline.node import ANY, Context, Node, Ports
from audio_pipeline.settings import setting

EVENTS = "events.jsonl"
SUBTYPES = ("pcm24", "pcm16", "float32")


@dataclass(frozen=True)
class Settings:
    folder: str = setting("", "where the files go; empty for the folder of the run", file=True)
    subtype: str = setting(
        "pcm24", "how samples are stored; float32 keeps what is over full scale", choices=SUBTYPES
    )
    segments: bool = setting(False, "a file for each utterance that a `vad` marked, instead of one a track")
    overwrite: bool = setting(False, "replace recordings of the same name")


class Recorder(Node):
    """Records every input under its name: `<input>.wav`, and `take.json` with what is missing in it.

    Files are true to position: a sample that never came is silence and is listed under `gaps`, what stands in
    for lost sound under `concealed`. They can be opened at any moment, also after a crash, with all but the last
    second; a restarted recorder goes on where its predecessor was cut off. A full disk ends the tracks it hits
    with one error and nothing else. Inputs that carry events are appended to `events.jsonl`. Its own events:
    `saved` {track, path, samples}, `segment` {track, path, start, end} and `error` {track, message}.
    """

    Settings = Settings
    PORTS = Ports(inputs=(ANY,), outputs=(), events=("takes",))
    takes_events = True
    continuous = False  # holes are to be seen, not filled

    @classmethod
    def preload(cls, settings: Any) -> tuple[str, ...]:
        return ("audio_pipeline.io.take",)

    def open(self, ctx: Context) -> None:
        self._folder = Path(self.settings.folder or ctx.folder)
        self._take = Take(self._folder, self.settings.subtype, overwrite=self.settings.overwrite)
        self._segments = Segments(self._folder, self.settings.subtype)
        self._failed: set[str] = set()
        if ctx.incarnation:
            self._take.resume()
        elif not self.settings.segments:
            for path in self._take.prepare(self.input_settings):
                ctx.log(f"kept an unfinished recording of an earlier run as {path}")

    def resume_position(self, port: str) -> int | None:
        track = self._take.tracks.get(port)
        return track.position if track else None

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        for name, frame in inputs.items():
            if name in self._failed or not frame.samples:
                continue
            try:
                self._write(name, frame, ctx)
            except PipelineError as error:
                self._fail(name, error, frame.position, ctx)

    def _write(self, name: str, frame: Frame, ctx: Context) -> None:
        if self.settings.segments:
            return _tell(self._segments.put(name, frame), ctx)
        track = self._take.track(name, frame.position, frame.rate, frame.channels, frame.stream)
        what = "gaps" if frame.flags & Flag.GAP else "concealed" if frame.flags & Flag.CONCEALED else ""
        filled = track.put(frame.position, frame.audio(), what)
        ctx.count("filled_samples", filled)
        self._take.save_soon(frame.samples, frame.rate)

    def _fail(self, name: str, error: PipelineError, position: int, ctx: Context) -> None:
        """One track ends, the rest goes on; offline, where nothing may be lost, the run ends."""
        self._failed.add(name)
        if name in self._take.tracks:
            with suppress(PipelineError):  # what is on disk is readable without this
                self._take.finish(name)
        if not ctx.live:
            raise error
        ctx.log(f"{error}; track {name!r} ends here, the rest goes on")
        ctx.event("takes", "error", position, track=name, message=str(error))
        ctx.count("failed_tracks")

    def on_event(self, port: str, event: Mapping[str, Any], position: int, ctx: Context) -> None:
        if port in self._failed:
            return
        entry = {"input": port, "position": position, "s": round(position / ctx.rate, 3), **event}
        line = json.dumps(entry, default=str)
        path = self._folder / EVENTS
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            self._fail(port, PipelineError(f"recording {path}: {error.strerror or error}"), position, ctx)

    def on_inputs(self, ctx: Context) -> None:
        for name in [name for name in self._take.tracks if name not in self.input_settings]:
            self._finish(name, ctx)
        self._failed &= set(self.input_settings)

    def flush(self, ctx: Context) -> None:
        try:
            _tell(self._segments.close(), ctx)
        except PipelineError as error:
            ctx.log(str(error))
        for name in list(self._take.tracks):
            self._finish(name, ctx)

    def _finish(self, name: str, ctx: Context) -> None:
        position = self._take.tracks[name].position
        try:
            path, samples = self._take.finish(name)
            ctx.event("takes", "saved", position, track=name, path=str(path), samples=samples)
        except PipelineError as error:
            self._fail(name, error, position, ctx)

    def close(self) -> None:
        with suppress(PipelineError):
            self._segments.close()
        for name in list(self._take.tracks):
            with suppress(PipelineError):
                self._take.finish(name)


def _tell(segments: list[Segment], ctx: Context) -> None:
    for track, path, start, end in segments:
        ctx.event("takes", "segment", end, track=track, path=str(path), start=start, end=end)


NODE = Recorder
