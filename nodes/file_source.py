"""Plays sound files: one song or a list, looped or not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audio_pipeline.context import Context
from audio_pipeline.errors import ConfigError
from audio_pipeline.frame import Samples
from audio_pipeline.node import Ports, Source
from audio_pipeline.settings import setting

DEMO = "demo"


@dataclass(frozen=True)
class Settings:
    path: str = setting(DEMO, "the song: wav, flac, mp3, ogg, m4a, ...; `demo` is the demo song", file=(DEMO,))
    playlist: tuple[str, ...] = setting((), "more songs, played after it and reached with `next`", file=(DEMO,))
    loop: bool = setting(False, "start again after the last song", live=True)
    start_s: float = setting(0.0, "start within the first song", unit="s", minimum=0.0)
    track: int = setting(1, "audio track of a film, counted from 1", minimum=1, maximum=1000)
    channels: int = setting(2, "channels; songs of other layouts are mixed down or up", minimum=1, maximum=32)


class FileSource(Source):
    """Plays sound files at the graph's rate and channel count.

    Commands: `seek` {seconds}, `next`, `loop` {on}. At each start, loop or seek of a song, an event `media` on the port
    `map` maps a position to song time: {file, media_id, media_s, length_s, playing, rate}. Damaged parts of a song
    become silence, and so do NaN, infinities and gaps in its time stamps; the log reports each kind in one sentence
    when the song ends, and `bad_frames` counts them. Threads open, seek and read the files. During a wait the current
    song plays on, or silence follows (`waited_samples`).
    """

    Settings = Settings
    PORTS = Ports(inputs=(), events=("map",))
    commands = ("seek", "next", "loop")

    @classmethod
    def when_shared(cls, settings: Any) -> Mapping[str, Any]:
        return {}  # the demo song is no weights

    @classmethod
    def assets(cls, settings: Any) -> tuple[str, ...]:
        return ("demo-song",) if DEMO in (settings.path, *settings.playlist) else ()

    @classmethod
    def preload(cls, settings: Any) -> tuple[str, ...]:
        return ("audio_pipeline.files.player",)

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self._resume: dict[str, Any] = {}
        self._reported_bad: set[str] = set()
        self._reported_frames = 0

    def restore(self, state: Mapping[str, Any]) -> None:
        self._resume = {key: state[key] for key in ("position", "file", "media_s", "loop") if key in state}

    def snapshot(self) -> dict[str, Any]:
        player = self._player
        file, media_s = player.target
        place = {"position": player.position, "file": file, "media_s": media_s}
        return {**place, "loop": player.list.loop}

    def open(self, ctx: Context) -> None:
        from audio_pipeline.files.player import Player
        from audio_pipeline.files.playlist import PATIENCE_S, Reading

        paths = [_path(name) for name in (self.settings.path, *self.settings.playlist)]
        start = {"media_s": self.settings.start_s, "loop": self.settings.loop} | self._resume
        reading = Reading(self.settings.track, PATIENCE_S if ctx.live else math.inf, ctx.alive)
        self._player = Player(paths, ctx.rate, self.settings.channels, reading=reading, **start)

    def blocks(self, ctx: Context) -> Iterator[Samples | int]:
        while len(block := self._player.read(ctx.frame_samples)):
            self._report(ctx)
            yield block
        self._report(ctx)

    def on_command(self, name: str, args: Mapping[str, Any], ctx: Context) -> Any:
        if name == "seek":
            self._player.seek(_number(args, "seconds"))
        elif name == "next":
            self._player.next()
        elif name == "loop":
            self._player.list.loop = bool(args.get("on", True))
        else:
            raise NotImplementedError(name)
        self._report(ctx)
        return self.snapshot()

    def on_param(self, name: str, value: Any, position: int, ctx: Context) -> None:
        self._player.list.loop = bool(self.settings.loop)

    def _report(self, ctx: Context) -> None:
        player = self._player
        for position, file, media_s, length_s in player.take_maps():
            ctx.event(
                "map",
                "media",
                position,
                file=file,
                media_id=player.paths[file].name,
                media_s=media_s,
                length_s=length_s,
                playing=True,
                rate=1.0,
            )
        while player.errors:
            ctx.log(player.errors.pop(0))
            ctx.count("damaged_files")
        self._count(ctx)
        if player.bad_samples:
            ctx.count("bad_samples", player.bad_samples)
            player.bad_samples = 0
            self._report_bad(player.paths[player.file].name, ctx)

    def _count(self, ctx: Context) -> None:
        player = self._player
        if player.waited_samples:
            ctx.count("waited_samples", player.waited_samples)
            player.waited_samples = 0
        if player.damaged_frames != self._reported_frames:
            self._reported_frames = player.damaged_frames
            ctx.gauge("bad_frames", self._reported_frames)

    def _report_bad(self, name: str, ctx: Context) -> None:
        if name not in self._reported_bad:
            self._reported_bad.add(name)
            ctx.log(f"{name}: holds NaN or infinities, which are played as silence")

    def close(self) -> None:
        self._player.close()


def _path(name: str) -> Path:
    if name != DEMO:
        return Path(name)
    from audio_pipeline.models.weights import store

    return store.path("demo-song")


def _number(args: Mapping[str, Any], key: str) -> float:
    value = args.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigError(f"seek: expected {key} as a number, got {value!r}")
    return float(value)


NODE = FileSource
