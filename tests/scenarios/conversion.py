"""A reader who is heard as another one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from audio_pipeline import Options, Pipeline
from tests.shared import shared

READER, OTHER = "1998", "3005"
READ_S = 12


@dataclass
class Reading:
    """A reading, somebody else's sample, another clip of theirs to compare with, and the folder of the run."""

    path: Path
    sample: Path
    compared: Path
    folder: Path

    def convert(self, config: str) -> None:
        """One offline run."""
        overrides = {
            "nodes.mic.kind": "file_source",
            "nodes.mic.path": self.path,
            "nodes.voice.sample": self.sample,
        }
        with Pipeline.load(config, overrides, Options(offline=True, folder=self.folder, report=False)) as pipeline:
            assert pipeline.wait(100), "not done within 100 s"

    def recording(self, name: str) -> tuple[NDArray[np.float32], int]:
        """(samples, channels) of a track of the run, and its rate."""
        x, rate = soundfile.read(self.folder / f"{name}.wav", dtype="float32", always_2d=True)
        return x, int(rate)

    def likeness(self, name: str) -> float:
        """Of the second half of a track, when the voice has been learnt, to the other reader."""
        from audio_pipeline.models.hearing import ge2e, speech

        x, rate = self.recording(name)
        other = soundfile.read(self.compared, dtype="float32", always_2d=True)
        encoder = ge2e.load()
        both = [encoder.utterance(speech.prepare(*sound)) for sound in ((x[len(x) // 2 :], rate), other)]
        return ge2e.similarity(*both)

    def mark(self, name: str) -> float:
        """The confidence that a track carries the watermark."""
        from audio_pipeline.models.hearing import perth

        return perth.confidence(perth.load(), *self.recording(name))


def reading(folder: Path) -> Reading:
    """Twelve seconds of a reader, and two clips of another."""
    x, rate = soundfile.read(sorted(shared(f"speech/{READER}").glob("*.flac"))[0])
    soundfile.write(folder / "me.wav", x[: READ_S * rate], rate)
    sample, compared = sorted(shared(f"speech/{OTHER}").glob("*.flac"))[:2]
    return Reading(folder / "me.wav", sample, compared, folder / "take")
