"""The sound that a voice is made from, for the commands: files one after another, or the microphone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.mono import MEAN, mono
from audio_pipeline.dsp.resample import resampled
from audio_pipeline.errors import MediaError
from audio_pipeline.files.clip import read_clip
from audio_pipeline.models.voices.consent import digest_of
from audio_pipeline.models.voices.sample import pack_sample
from audio_pipeline.terminal import warn

Samples = NDArray[np.float32]
PIECE_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class Sound:
    """Mono sound (samples, 1), its rate, and the SHA-256 of what it came in."""

    x: Samples
    rate: int
    sha256: str


def from_files(paths: Sequence[Path]) -> Sound:
    """Clips of one voice one after another, at the first one's rate."""
    clips = [read_clip(path) for path in paths]
    rate = clips[0][1]
    parts = [resampled(_mono(path, x, own), own, rate) for path, (x, own) in zip(paths, clips, strict=True)]
    return Sound(np.concatenate(parts).astype(np.float32), rate, digest_of(_pieces(paths)))


def _mono(path: Path, x: Samples, rate: int) -> Samples:
    """One channel of a file; warns where that is one side alone."""
    found, sides = mono(x, rate)
    if sides.choice != MEAN:
        lost = f"mixed they are {sides.loss_db:.0f} dB softer than alone"
        warn(f"{str(path)!r}: its two sides cancel ({lost}), so {sides.description} is used")
    return found


def _pieces(paths: Sequence[Path]) -> Iterator[bytes]:
    """What is in the files, a megabyte at a time."""
    for path in paths:
        try:
            with path.open("rb") as file:
                yield from iter(lambda: file.read(PIECE_BYTES), b"")
        except OSError as error:
            raise MediaError(f"{str(path)!r} cannot be read: {error.strerror}") from error


def from_microphone(device: str, seconds: float, title: str) -> Sound:
    """A recording from the microphone, made now."""
    from audio_pipeline.cli.voices_record import recorded

    x, rate = recorded(device, seconds, title)
    return Sound(x[:, None], rate, digest_of([pack_sample(x, rate)]))
