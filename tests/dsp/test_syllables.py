"""Syllables where their number is known."""

from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.syllables import Array, rate_of, syllables

RATE = 16_000


def babble(a_second: float, seconds: float = 4.0) -> Array:
    """A buzz that swells so often; between the swells it is 20 dB softer."""
    t = np.arange(round(seconds * RATE)) / RATE
    envelope = 0.1 + 0.9 * np.sin(np.pi * a_second * t) ** 2
    return (0.1 * envelope * np.sign(np.sin(2 * np.pi * 120 * t))).astype(np.float32)


@pytest.mark.parametrize("a_second", [2.0, 4.0, 6.0])
def test_swells_are_counted(a_second: float) -> None:
    assert rate_of(babble(a_second), RATE) == pytest.approx(a_second, abs=0.3)  # one may be cut at either end


def test_loudness_does_not_matter() -> None:
    assert syllables(babble(4.0) * 0.01, RATE) == syllables(babble(4.0), RATE)


@pytest.mark.parametrize("x", [np.zeros(0, np.float32), np.zeros(100, np.float32), np.zeros(RATE, np.float32)])
def test_silence_has_none(x: Array) -> None:
    assert syllables(x, RATE) == 0


def test_a_steady_tone_is_one_at_most() -> None:
    assert syllables((0.1 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)).astype(np.float32), RATE) <= 1
