"""Voices for tests that need one in the library but no network to have made it."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline.models.voices.enrolled import Library
from audio_pipeline.models.voices.record import Consent, Draft, Likeness, Provenance, Record, Sample, Traits

SOUND = (np.random.default_rng(5).standard_normal(8_000) * 0.1).astype(np.float32)
RATE = 16_000
STATEMENT = "I, Ann, agree"


def flac(x: np.ndarray = SOUND, rate: int = RATE) -> bytes:
    """A FLAC file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, x, rate, format="FLAC")
    return buffer.getvalue()


def draft(name: str = "Ann", *, seed: int = 0, consent: bool = True) -> Draft:
    """A voice of random numbers."""
    rng = np.random.default_rng(seed)
    digest = hashlib.sha256(SOUND.tobytes()).hexdigest()
    traits = Traits(120.0, 2.5, 4.0, (0,) * 48)
    record = Record(
        name=name,
        created="2026-01-02T03:04:05+00:00",
        british=False,
        speed=1.0,
        sample=Sample(digest, 10.0, 8.0, RATE, 30.0, 0.0, 8_000.0, -30.0, False, False, False),
        speaker=traits,
        voice=traits,
        likeness=Likeness(0.75, 0.87, 0.70, "af_heart"),
        provenance=Provenance("kokoro", "quick", 12, 3.0, "audio-pipeline 0.1.0", {"kokoro": "1"}, ""),
        consent=Consent("attested", name, STATEMENT, "2026-01-02T03:04:05+00:00", digest) if consent else None,
        target={"pitch_ratio": 1.0},
    )
    pack = rng.standard_normal((510, 256)).astype(np.float32) * 0.2
    return Draft(record, pack, np.abs(rng.standard_normal(256)).astype(np.float32) / 16, flac())


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """One with a voice, `Ann`."""
    found = Library(tmp_path / "here")
    found.add(draft("Ann"))
    return found


@pytest.fixture
def there(tmp_path: Path) -> Library:
    """Another, still empty."""
    return Library(tmp_path / "there")
