"""Writes its inputs to disk: a WAV file for each track, events as lines of JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from audio_pipeline.context import Context
from audio_pipeline.errors import PipelineError
from audio_pipeline.files.disk import Disk
from audio_pipeline.files.recording import Block, Notice, Recording
from audio_pipeline.files.segments import Segments
from audio_pipeline.files.take import Take
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.node import ANY, Node, Ports
from audio_pipeline.settings import setting

EVENTS = "events.jsonl"
SUBTYPES = ("float32", "pcm24", "pcm16")
OFFLINE_BYTES = 16 << 20  # offline nothing is refused: it waits until no more than this waits
SLOW_S = 2.0  # older than that, and it is said that the disk is slow
WELL_S = 0.5


@dataclass(frozen=True)
class Settings:
    folder: str = setting("", "folder of the files; empty for the folder of the run", file=True)
    subtype: str = setting(
        "float32", "sample format; float32 keeps values over full scale, the others clip them", choices=SUBTYPES
    )
    gain_db: float = setting(
        0.0, "gain of all tracks; a negative one preserves peaks in pcm files", unit="dB", minimum=-96, maximum=24
    )
    segments: bool = setting(False, "a file for each utterance marked by a `vad`, instead of one for each track")
    overwrite: bool = setting(False, "replace recordings of the same name")


class Recorder(Node):
    """Records every input under its name: `<input>.wav`, and `take.json` with a list of the missing parts.

    Files are true to position: missing samples are silence listed under `gaps`, stand-ins for lost sound are listed
    under `concealed`. They can be opened at any moment, also after a crash, with all but the last second. A restarted
    recorder continues where its predecessor stopped, and no file of a run replaces another of the same run
    (`<input>-2.wav`). A separate thread writes: the recorder buffers up to 120 s or 128 MB for a disk that does not
    answer; further samples become a gap. A full disk ends the affected tracks with one error and has no other effect.
    Event inputs are appended to `events.jsonl`. Its own events: `saved` {track, path, samples, clipped, peak_db},
    `segment` {track, path, start, end} and `error` {track, message}. `audio-pipeline takes` lists recordings and
    repairs interrupted ones.
    """

    Settings = Settings
    PORTS = Ports(inputs=(ANY,), outputs=(), events=("takes",))
    takes_events = True
    continuous = False  # holes are to be seen, not filled

    @classmethod
    def preload(cls, settings: Any) -> tuple[str, ...]:
        return ("audio_pipeline.files.recording",)

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self._leaving: dict[str, int] = {}  # tracks that are being finished: how far their streams came

    def snapshot(self) -> dict[str, Any]:
        return {"leaving": dict(self._leaving)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._leaving = {str(name): int(end) for name, end in dict(state.get("leaving", {})).items()}

    def open(self, ctx: Context) -> None:
        folder = Path(self.settings.folder or ctx.folder)
        self._take = Take(
            folder,
            self.settings.subtype,
            overwrite=self.settings.overwrite,
            run=Path(ctx.run_folder).name,
            node=ctx.name,
            gain_db=self.settings.gain_db,
        )
        segments = None
        try:
            if self.settings.segments:
                segments = Segments(folder, self.settings.subtype, Path(ctx.run_folder).name)
            names = () if segments else self.input_settings
            for notice in self._take.begin(names, restarted=ctx.incarnation > 0, ends=self._leaving):
                ctx.log(notice)
        except PipelineError:
            self._take.close()
            raise
        self._recording = Recording(self._take, segments, folder / EVENTS)
        self._resumed = {name: track.position for name, track in self._take.tracks.items()}
        self._show_held = partial(ctx.gauge, "unwritten_bytes")
        self._ends = dict(self._resumed)  # by input: the position up to which its stream has come
        self._failed: set[str] = set()
        self._cut: set[str] = set()  # tracks of which it was said that they are cut
        self._is_slow = False
        self._disk = Disk(self._recording, ctx.name, ctx.wake)

    def resume_position(self, port: str) -> int | None:
        return self._resumed.get(port)

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        for name, frame in inputs.items():
            if name not in self._failed and frame.samples:
                self._put(name, frame, ctx)
        self.poll(ctx)

    def _put(self, name: str, frame: Frame, ctx: Context) -> None:
        """Gives a frame to the disk's thread; what finds no room becomes a gap, since positions go on."""
        recording, size = self._recording, 0 if frame.data is None else frame.data.nbytes
        if self.settings.segments:
            taken = self._give(lambda: recording.segment(name, frame), size, ctx)
        else:
            self._ends[name] = max(frame.end, self._ends.get(name, 0))
            what = "gaps" if frame.flags & Flag.GAP else "concealed" if frame.flags & Flag.CONCEALED else ""
            x = frame.samples if frame.data is None else frame.audio()
            block = Block(name, frame.position, x, frame.rate, frame.channels, frame.stream, what)
            taken = self._give(lambda: recording.put(block), size, ctx)
        if not taken:
            ctx.count("overflow_samples", frame.samples)

    def _give(self, work: Callable[[], None], size: int, ctx: Context) -> bool:
        """False where there is no room; offline, where nothing may be lost, it waits for some."""
        if ctx.live:
            return self._disk.offer(work, size)
        self._disk.wait(OFFLINE_BYTES, ctx.alive)
        self._disk.submit(work, size)
        return True

    def poll(self, ctx: Context) -> None:
        """Tells what the disk's thread has done."""
        held = self._disk.held_bytes
        self._show_held(held)
        self._report_slow(self._disk.age_s if held else 0.0, ctx)
        while self._recording.notices:
            notice = self._recording.notices.popleft()
            {
                "counted": self._on_counted,
                "saved": self._on_saved,
                "segment": self._on_segment,
                "error": self._on_error,
            }[notice.kind](notice, ctx)

    def _report_slow(self, age_s: float, ctx: Context) -> None:
        if age_s > SLOW_S and not self._is_slow:
            ctx.log(f"the disk of {self._take.folder} has not answered for {age_s:.0f} s; sound waits in memory")
        elif self._is_slow and age_s <= WELL_S:
            ctx.log(f"the disk of {self._take.folder} answers again")
        self._is_slow = age_s > (WELL_S if self._is_slow else SLOW_S)

    def _on_counted(self, notice: Notice, ctx: Context) -> None:
        ctx.count("filled_samples", notice.data["filled"])
        ctx.count("clipped", notice.data["clipped"])
        if notice.data["clipped"] and notice.track not in self._cut:
            self._cut.add(notice.track)
            ctx.log(f"{notice.track} is beyond full scale and is cut there; subtype float32 keeps what is over it")

    def _on_saved(self, notice: Notice, ctx: Context) -> None:
        self._leaving.pop(notice.track, None)
        path, samples, clipped, peak = (notice.data[key] for key in ("path", "samples", "clipped", "peak"))
        peak_db = round(20 * math.log10(max(peak, 1e-6)), 2)
        ctx.event(
            "takes",
            "saved",
            notice.position,
            track=notice.track,
            path=path,
            samples=samples,
            clipped=clipped,
            peak_db=peak_db,
        )
        if clipped:
            ctx.log(
                f"{path}: {clipped} values beyond full scale were cut, the highest at {peak_db:+.1f} dBFS; "
                f"subtype float32 keeps them, and so does gain_db {-math.ceil(peak_db * 10) / 10:g}"
            )

    @staticmethod
    def _on_segment(notice: Notice, ctx: Context) -> None:
        ctx.event("takes", "segment", notice.position, track=notice.track, **notice.data)

    def _on_error(self, notice: Notice, ctx: Context) -> None:
        """One track ends, the rest goes on; offline, where nothing may be lost, the run ends."""
        name, error = notice.track, notice.data["error"]
        self._failed.add(name)
        if not ctx.live:
            raise error
        ctx.log(f"{error}; track {name!r} ends here; the others continue")
        ctx.event("takes", "error", notice.position, track=name, message=str(error))
        ctx.count("failed_tracks")

    def on_event(self, port: str, event: Mapping[str, Any], position: int, ctx: Context) -> None:
        if port in self._failed:
            return
        entry = {"input": port, "position": position, "s": round(position / ctx.rate, 3), **event}
        recording, line = self._recording, json.dumps(entry, default=str)
        if not self._give(lambda: recording.line(port, line), len(line), ctx):
            ctx.count("lost_events")

    def on_inputs(self, ctx: Context) -> None:
        for name in [name for name in self._ends if name not in self.input_settings]:
            self._finish(name)
        for name in self._failed - self.input_settings.keys():
            self._disk.submit(partial(self._recording.forgive, name))
        self._failed &= set(self.input_settings)

    def _finish(self, name: str) -> None:
        recording, end = self._recording, self._ends.pop(name)
        self._leaving[name] = end
        self._disk.submit(lambda: recording.finish(name, end))
        self._show_held(self._disk.held_bytes)

    def flush(self, ctx: Context) -> None:
        for name in list(self._ends):
            self._finish(name)
        self._disk.submit(self._recording.close)
        self._show_held(self._disk.held_bytes)

    @property
    def busy(self) -> bool:
        return bool(self._disk.held_bytes or self._recording.notices)

    def close(self) -> None:
        disk = getattr(self, "_disk", None)
        if disk is not None:  # it was opened
            disk.submit(self._recording.close)
            self._show_held(disk.held_bytes)  # so that it is waited for
            disk.close()
        take = getattr(self, "_take", None)
        if take is not None:
            take.close()


NODE = Recorder
