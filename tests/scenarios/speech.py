"""People who speak, and what the vad pipeline makes of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from audio_pipeline import Options, Pipeline
from tests.shared import shared

RATE = 16_000
SPEAKERS = ("1688", "1998")
SPOKEN_S, PAUSE_S = 3.0, 1.5
QUIET_DB = -25.0  # under the loudest moment: pauses, breath, the room


@dataclass
class Talk:
    """A recording, where somebody speaks in it, and the folder of what was found."""

    path: Path
    spoken: NDArray[np.bool_]  # by sample
    folder: Path

    def listen(self, config: str) -> None:
        """Runs a pipeline over it."""
        overrides = {"nodes.voice.path": self.path}
        with Pipeline.load(config, overrides, Options(offline=True, folder=self.folder, report=False)) as pipeline:
            assert pipeline.wait(100), "not done within 100 s"

    def segments(self) -> list[tuple[int, int]]:
        """Start and end of each utterance, as logged."""
        lines = [json.loads(line) for line in (self.folder / "events.jsonl").read_text().splitlines()]
        return [(line["start"], line["end"]) for line in lines if line["kind"] == "segment"]

    def _found(self) -> NDArray[np.bool_]:
        found = np.zeros(len(self.spoken), np.bool_)
        for start, end in self.segments():
            found[start:end] = True
        return found

    def found_share(self) -> float:
        """How much of the speech was found."""
        return float(np.mean(self._found()[self.spoken]))

    def false_s(self) -> float:
        """Seconds taken for speech, away from it by more than the pads that are meant."""
        near = np.convolve(self.spoken, np.ones(RATE // 2), "same") > 0
        return float(np.sum(self._found() & ~near)) / RATE

    def logged_s(self) -> list[float]:
        """Lengths of the utterances in the log."""
        return [(end - start) / RATE for start, end in self.segments()]

    def file_s(self) -> list[float]:
        """Lengths of their files, which hold whole frames."""
        return [soundfile.info(path).frames / RATE for path in sorted(self.folder.glob("segment_*.wav"))]


def talk(folder: Path) -> Talk:
    """Two people, each for three seconds, with silence before, between and after."""
    pause = np.zeros(round(PAUSE_S * RATE))
    parts, spoken = [pause], [np.zeros(len(pause), np.bool_)]
    for speaker in SPEAKERS:
        x, rate = soundfile.read(sorted(shared(f"speech/{speaker}").glob("*.flac"))[0])
        assert rate == RATE
        x = x[: round(SPOKEN_S * RATE)]
        parts += [x, pause]
        spoken += [_is_loud(x), np.zeros(len(pause), np.bool_)]
    noise = np.random.default_rng(3).normal(0, 1e-4, sum(map(len, parts)))
    path = folder / "talk.wav"
    soundfile.write(path, np.concatenate(parts) + noise, RATE)
    return Talk(path, np.concatenate(spoken), folder / "found")


def _is_loud(x: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where the level of 50 ms is within reach of the loudest."""
    power = np.convolve(x**2, np.ones(RATE // 20), "same")
    return np.asarray(power > power.max() * 10 ** (QUIET_DB / 10))
