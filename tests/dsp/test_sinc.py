from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.sinc import HALF, interpolate
from audio_pipeline.errors import ConfigError
from tests.dsp.chunking import SIZES, noise, tone

RATE = 48_000


def places(n: int, ratio: float) -> np.ndarray:
    return HALF + np.arange(n) * ratio


def residual_db(y: np.ndarray, hz: float, at: np.ndarray) -> float:
    """Everything that is not the tone, over the tone; the tone is computed at the very places, not fitted."""
    ideal = np.sin(2 * np.pi * hz * at / RATE)
    return float(10 * np.log10(np.mean((y / 0.5 - ideal) ** 2) / np.mean(ideal**2)))


@pytest.mark.parametrize("ratio", [1.0, 1.0002, 0.9998, 1.002])
@pytest.mark.parametrize("hz", [50, 997, 9973, 18_000])
def test_a_tone_stays_a_tone(hz: float, ratio: float) -> None:
    """-100 dB: the Kaiser window's stop band; the linear step between two of 1024 phases leaves less."""
    at = places(RATE // 2, ratio)
    y = interpolate(tone(RATE, hz, RATE), at)[:, 0]
    assert residual_db(y.astype(np.float64), hz, at) < -100


def test_whole_places_keep_level_and_phase() -> None:
    x = tone(4000, 1000, RATE, 2)
    y = interpolate(x, np.arange(100.0, 3000.0))
    np.testing.assert_allclose(y, x[100:3000], atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_any_cut_gives_the_same_bits(size: int) -> None:
    x, at = noise(4000), places(3500, 1.0007)
    whole = interpolate(x, at)
    parts = [interpolate(x, at[i : i + size]) for i in range(0, len(at), size)]
    np.testing.assert_array_equal(np.concatenate([interpolate(x, at[:0]), *parts]), whole)


def test_a_constant_stays_what_it_is() -> None:
    y = interpolate(np.full((500, 1), 0.7, np.float32), places(300, 1.01))
    np.testing.assert_allclose(y, 0.7, atol=1e-6)


def test_refuses_places_whose_neighbours_are_not_there() -> None:
    with pytest.raises(ConfigError, match="100 samples cannot be read at 10.0 to 20.0"):
        interpolate(noise(100), np.arange(10.0, 21.0))
    with pytest.raises(ConfigError):
        interpolate(noise(100), np.array([100.0 - HALF]))
