"""A short file at once: what it gives back, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline.errors import ConfigError, MediaError
from audio_pipeline.files.clip import read_clip

RATE = 8_000


def written(path: Path, x: np.ndarray) -> Path:
    soundfile.write(path, x, RATE, "FLOAT")
    return path


def test_a_clip_is_what_was_written(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((RATE, 2)).astype(np.float32) * 0.1
    found, rate = read_clip(written(tmp_path / "a.wav", x))
    assert rate == RATE and np.array_equal(found, x)


def test_one_that_is_too_long_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", np.zeros(RATE + 1))
    with pytest.raises(ConfigError, match=r"a.wav' is longer than 1 s"):
        read_clip(path, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_no_sound_are_refused(tmp_path: Path, bad: float) -> None:
    x = np.zeros(RATE)
    x[100] = bad
    with pytest.raises(MediaError, match=r"a.wav' holds numbers that are no sound"):
        read_clip(written(tmp_path / "a.wav", x))
