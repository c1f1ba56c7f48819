"""Commands about voices: how alike two clips are."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audio_pipeline.errors import ConfigError
from audio_pipeline.io.clip import read_clip

if TYPE_CHECKING:
    from audio_pipeline.models.ge2e import SpeakerEncoder

LEAST_S = 1.6  # of speech: one look of the encoder
READINGS = (  # of GE2E on real voices: docs/models/ge2e.md
    (0.85, "as alike as two clips of one person"),
    (0.75, "recognisably alike"),
    (0.60, "alike in kind: same sex, similar age"),
    (0.0, "two different people"),
)


def score(args: argparse.Namespace) -> int:
    """Prints how alike the voices of two files are."""
    from audio_pipeline.models import ge2e

    encoder = ge2e.load()
    a, b = (_embedding(encoder, path) for path in args.files)
    value = ge2e.similarity(a, b)
    print(f"{value:.2f}  {next(said for least, said in READINGS if value >= least)}")
    return 0


def _embedding(encoder: SpeakerEncoder, path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    from audio_pipeline.models import speech

    prepared = speech.prepare(*read_clip(path))
    found_s = len(prepared) / speech.RATE
    if found_s < LEAST_S:
        raise ConfigError(f"{str(path)!r} holds {found_s:.1f} s of speech, expected {LEAST_S:g} s or more")
    return encoder.utterance(prepared)
