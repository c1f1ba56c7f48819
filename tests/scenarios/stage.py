"""The pipelines that scenarios play: real processes, and the recording that they leave while they run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from audio_pipeline.errors import ControlError
from audio_pipeline.graph.load import load
from audio_pipeline.models.weights import store
from tests.proofs.live import Pipeline, State, running
from tests.scenarios.measure import Song, Sound

RATE = 44_100
SOON_MS = 300  # what is asked of the pipeline must be heard by then
SINGS_FROM_S = 3.0  # in the demo song; the voice is there until second 8.8
PLACES = {
    "voice": "vocals",
    "band": "accompaniment",
    "separator": "split",
    "mixer": "mix",
    "recorder": "rec",
    "loudspeaker": "speaker",
    "microphone": "mic",
    "song's reader": "song",
}
# No scenario depends on the sound hardware of its machine, nor on how busy it was in the moment of the start.
STEADY = {"speaker.device": "null", "mic.device": "no such microphone", "split.hop": "8"}


def steady(config: str) -> list[str]:
    """What to set in a pipeline that is to play live."""
    nodes = load(config).nodes
    return [f"nodes.{key}={value}" for key, value in STEADY.items() if key.split(".")[0] in nodes]


@dataclass
class Show:
    """A pipeline that plays, its song, and its recording."""

    pipeline: Pipeline
    folder: Path
    song: Song
    mark: int = 0  # position on the graph's clock when something was last done
    other: Song | None = None  # that comes after it
    calm: int = 0  # position from which on its effect is looked at
    wanted_s: float | None = None  # song time that was sought then
    stretch: float = 1.0  # by how much this machine has more to do than it can
    before: State = field(default_factory=dict)  # the state at the mark
    killed: str = ""  # node that was killed last

    @property
    def playing(self) -> bool:
        """Whether it still can be used."""
        try:
            return not self.pipeline.run.wait(0) and not self.pipeline.supervisor.parts.life.ending
        except ControlError:
            return False

    def deed(self, what: Callable[[], Any]) -> Any:
        """Does something, noting when."""
        self.before = self.pipeline.state()
        self.mark = self.before["position"]
        self.wanted_s, self.stretch = None, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        result = what()
        self.calm = self.audible_within(SOON_MS)
        return result

    def set(self, name: str, value: Any) -> None:
        """Changes a live setting of the mixer."""
        self.deed(lambda: self.pipeline.client.set("mix", name, value))

    def transport(self, command: str, **args: Any) -> None:
        """Gives the song a command."""
        self.deed(lambda: self.pipeline.client.transport("song", command, **args))
        self.wanted_s = args.get("seconds")

    def kill(self, node: str) -> None:
        """`kill -9`; what follows is looked at once its successor runs."""
        self.killed = node
        after = self.deed(lambda: self.pipeline.kill(node))
        self.calm = after["position"]

    def start_over(self) -> None:
        """Every fader at 0 dB, nothing muted, the song at a place where it sings, looped."""
        for name, live in self.pipeline.state()["nodes"]["mix"]["settings"]["inputs"].items():
            for key, value in {"gain_db": 0.0, "mute": False, "solo": False}.items():
                if live[key] != value:
                    self.pipeline.client.set("mix", f"inputs.{name}.{key}", value)
        self.pipeline.client.transport("song", "loop", on=True)
        if self.pipeline.state()["transport"]["song"]["media_id"] != self.song.name:
            self.pipeline.client.transport("song", "next")
        self.pipeline.client.transport("song", "play")
        self.transport("seek", seconds=SINGS_FROM_S)
        self.pipeline.until("the voice is separated", _sings)
        self.pipeline.play(1.2)  # so much of it is looked at as what was before

    def media_s(self) -> float:
        """Song time that is heard now, as the pipeline says."""
        return float(self.pipeline.state()["transport"]["song"]["media_s"])

    @property
    def media_at_mark(self) -> float:
        """Song time that was asked for, or else heard, at the mark."""
        return self.wanted_s if self.wanted_s is not None else float(self.before["transport"]["song"]["media_s"])

    def missed_ms(self, watch_s: float) -> float:
        """Music that the loudspeaker had to do without since the mark, after some more time to make it worse."""
        after = self.pipeline.play(watch_s)["nodes"]["speaker"]["counters"]
        before = self.before["nodes"]["speaker"]["counters"]
        assert after["stream_opens"] == before["stream_opens"], "the loudspeaker was closed and opened again"
        return float(after["concealed_samples"] - before["concealed_samples"]) / RATE * 1000

    def left(self) -> list[str]:
        """What there still is of a pipeline that has ended: processes, its runtime folder."""
        supervisor = self.pipeline.supervisor
        assert supervisor.wait(10), "it has not ended"
        folder = supervisor.run_dir.path
        return [str(pid) for pid in self.pipeline.leftovers()] + [folder.name] * folder.exists()

    def tail_samples(self) -> int:
        """From the mixer's output to the loudspeaker."""
        terms_ms = [float(path["terms_ms"].get("speaker", 0.0)) for path in self.before["paths"]]
        return round(max(terms_ms) / 1000 * RATE)

    def audible_within(self, ms: float) -> int:
        """Position of the mix that is at the loudspeaker so long after what was done last, on an idle machine."""
        return self.mark + round(ms * self.stretch / 1000 * RATE) - self.tail_samples()

    def recorded(self, track: str, start: int, stop: int, timeout_s: float = 15.0) -> Sound:
        """A stretch of a recorded track, by position; waits until it is on disk."""
        deadline = time.monotonic() + timeout_s
        while True:
            path = self.folder / f"{track}.wav"
            path = path if path.exists() else path.with_suffix(".wav.part")
            with path.open("rb") as file, soundfile.SoundFile(file) as sound:
                if sound.frames >= stop:
                    sound.seek(max(start, 0))
                    return np.asarray(sound.read(stop - max(start, 0), always_2d=True))
            assert time.monotonic() < deadline, f"{track} was recorded up to {sound.frames} only, expected {stop}"
            time.sleep(0.1)


def _sings(state: State) -> bool:
    vocals = state["nodes"]["split"]["levels_db"].get("vocals", [-120.0, -120.0])
    return bool(vocals[1] > -40)


class Stage:
    """Has one live pipeline at a time; a scenario that wants the same one again gets it as it is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._key: tuple[str, ...] = ()
        self._show: Show | None = None
        self._count = 0

    def play(self, config: str, *sets: str) -> Show:
        """The pipeline of that name, playing from a place where the song sings."""
        if self._show is None or self._key != (config, *sets) or not self._show.playing:
            self.close()
            self._count += 1
            folder = self._folder / f"{config}-{self._count}"
            pipeline = self._stack.enter_context(running(config, folder, [*steady(config), *sets]))
            self._key, self._show = (config, *sets), Show(pipeline, folder, demo_song())
        self._show.start_over()
        return self._show

    def play_two(self, config: str) -> Show:
        """As `play`, with a second song: the end of the first, backwards."""
        path = self._folder / "other.wav"
        if not path.exists():
            soundfile.write(path, demo_song().samples[: -5 * RATE : -1], RATE, subtype="FLOAT")
        show = self.play(config, f"nodes.song.playlist=[{path}]")
        show.other = Song(path, RATE)
        return show

    def close(self) -> None:
        """Ends what plays."""
        self._stack.close()
        self._show = None


@cache
def demo_song() -> Song:
    """The demo song, decoded once."""
    return Song(store.path("demo-song"), RATE)
