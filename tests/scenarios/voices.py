"""Somebody's voice: recorded, made, heard, given away."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline.cli.main import main
from audio_pipeline.models.voices.consent import GIVEN
from audio_pipeline.models.voices.enrolled import Library
from audio_pipeline.models.weights import store
from tests.shared import shared

RATE = 16_000
NAME = "The Reader"
NEEDED = ("ge2e", "kokoro", "perth", "spleeter-2stems")
SECONDS = 10


@dataclass
class Voice:
    """A recording, and what the last command printed."""

    folder: Path
    sample: Path
    reader: Path | None = None
    output: str = ""
    code: int = 0

    def run(self, *arguments: object) -> None:
        """A command about voices, which may be refused."""
        output = io.StringIO()
        with redirect_stdout(output), redirect_stderr(output):
            self.code = main([str(argument) for argument in arguments])
        self.output = output.getvalue()

    def enrol(self, *arguments: object) -> None:
        """Makes the voice, as far as it is allowed."""
        self.run("voices", "enrol", self.sample, "--name", NAME, *arguments)

    def speak(self, text: str) -> None:
        """Lets the voice speak into a file."""
        assert self.code == 0, self.output
        self.run("say", text, "--voice", NAME, "-o", self.speech, "--force")
        assert self.code == 0, self.output

    @property
    def speech(self) -> Path:
        """What was spoken."""
        return self.folder / "heard.wav"

    def likeness(self, other: Path) -> float:
        """Of what was spoken to a recording."""
        self.run("voices", "score", self.speech, other)
        assert self.code == 0, self.output
        return float(self.output.split()[0])

    def move(self) -> None:
        """Exported, deleted, imported."""
        path = self.folder / "reader.voice"
        for arguments in (("export", NAME, "-o", path), ("delete", NAME, "--yes"), ("import", path)):
            assert (NAME in Library()) == (arguments[0] != "import")
            self.run("voices", *arguments)
            assert self.code == 0, self.output


AGREED = ("--consent", GIVEN.format(speaker=NAME))


def begin(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """A host without voices."""
    missing = [name for name in NEEDED if store.locate(name).folder is None]
    if missing:
        pytest.skip(f"weights are not here (audio-pipeline models fetch {' '.join(missing)})")
    patch.setenv("AUDIO_PIPELINE_VOICES", str(folder / "voices"))
    patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    patch.delenv("AUDIO_PIPELINE_VOICE_POLICY", raising=False)


def clips(reader: str) -> list[Path]:
    """Recordings of a reader."""
    return sorted(shared(f"speech/{reader}").glob("*.flac"))


def of_readers(folder: Path, *readers: str) -> Voice:
    """One of them after the other, ten seconds in all."""
    parts = [soundfile.read(clips(reader)[0])[0][: SECONDS * RATE // len(readers)] for reader in readers]
    return _recorded(folder, np.concatenate(parts), RATE, clips(readers[0])[1])


def of_silence(folder: Path) -> Voice:
    """Ten seconds in which nobody says anything."""
    return _recorded(folder, np.zeros(SECONDS * RATE), RATE, None)


def of_song(folder: Path, number: str) -> Voice:
    """Somebody who sings, and the band."""
    x, rate = soundfile.read(shared(f"singing/{number}/mixture.flac"))
    return _recorded(folder, x, rate, None)


def _recorded(folder: Path, x: np.ndarray, rate: int, reader: Path | None) -> Voice:
    path = folder / "sample.flac"
    soundfile.write(path, x, rate)
    return Voice(folder, path, reader)
