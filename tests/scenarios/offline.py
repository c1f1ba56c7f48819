"""Runs that are as fast as the machine: the song they get, the files they leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from audio_pipeline import Options, Pipeline
from tests.scenarios.measure import Sound, level_db, shares_db
from tests.scenarios.stage import PLACES, RATE, SINGS_FROM_S, demo_song

LIMIT_S = 100


@dataclass
class Job:
    """A song and the folders of the runs that worked on it."""

    path: Path
    song: Sound
    folders: list[Path] = field(default_factory=list)

    def run(self, config: str, sets: Sequence[str] = (), at: Sequence[str] = ()) -> None:
        """One offline run into a folder of its own."""
        folder = self.path.parent / f"run-{len(self.folders) + 1}"
        overrides = [f"nodes.song.path={self.path}", *sets]
        with Pipeline.load(config, overrides, Options(offline=True, folder=folder, at=at, report=False)) as pipeline:
            assert pipeline.wait(LIMIT_S), f"not done within {LIMIT_S} s"
        final = pipeline.state().ledger
        assert all(link.balanced and not link.dropped for link in final.links), "offline nothing is lost"
        self.folders.append(folder)

    def track(self, name: str) -> Sound:
        """A track of the last run."""
        samples, rate = soundfile.read(self.folders[-1] / name, always_2d=True)
        assert rate == RATE
        return np.asarray(samples)

    def files(self, run: int) -> dict[str, bytes]:
        """All recordings of a run."""
        return {path.name: path.read_bytes() for path in self.folders[run].glob("*.wav")}


def job(folder: Path, seconds: float) -> Job:
    """A song cut out of the demo song where somebody sings."""
    path = folder / "song.wav"
    soundfile.write(path, demo_song().at(SINGS_FROM_S, round(seconds * RATE)), RATE, subtype="PCM_16")
    return Job(path, soundfile.read(path)[0])


def rest_db(wanted: Sound, got: Sound) -> float:
    """What is left when one is taken from the other."""
    return level_db(wanted - got) - level_db(wanted)


def first_difference_s(job: Job) -> float:
    """When the mix stops being the sum of voice and band; all three are written as float32, so nothing is clipped."""
    rest = job.track("vocals.wav") + job.track("accompaniment.wav") - job.track("mix.wav")
    return float(np.flatnonzero(np.abs(rest).max(axis=1) > 1e-5)[0]) / RATE


def share_db(job: Job, track: str, start_s: float) -> float:
    """The gain with which a track is in the mix from a second on."""
    start = round(start_s * RATE)
    names = ("vocals", "accompaniment")
    shares = shares_db(job.track("mix.wav")[start:], [job.track(f"{name}.wav")[start:] for name in names])
    return shares[names.index(PLACES[track])]
