"""Envelopes: formants move by the factor, power stays, shapes tell the shift between two."""

from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.envelope import (
    MOST_COLOUR,
    POINTS,
    VOCAL_TRACT,
    colouring,
    likely_factor,
    mean_shape,
    power,
    warped,
)

RATE, BINS = 24_000, 513
HZ = np.arange(BINS) * RATE / 2 / (BINS - 1)


def _vowel(*formants: float, tilt: float = 0.0) -> np.ndarray:
    """A power envelope (1, bins) with resonances 15 % wide."""
    peaks = sum(10 * np.exp(-0.5 * (np.log(np.maximum(HZ, 1) / f) / 0.15) ** 2) for f in formants)
    return np.exp(peaks - tilt * HZ / 1_000)[None] * 1e-4


@pytest.mark.parametrize("factor", [0.75, 0.9, 1.15, 1.3])
def test_formants_move_by_the_factor(factor: float) -> None:
    """To a bin: 23 Hz."""
    y = warped(_vowel(600, 1_800), np.array([factor]))
    low, high = (HZ > 300) & (HZ < 1_000), (HZ > 1_000) & (HZ < 3_000)
    assert HZ[low][np.argmax(y[0][low])] == pytest.approx(600 * factor, abs=24)
    assert HZ[high][np.argmax(y[0][high])] == pytest.approx(1_800 * factor, abs=24)


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.7])
def test_power_is_kept(factor: float) -> None:
    x = np.repeat(_vowel(500, 1_500, 2_500), 3, axis=0) * np.array([[1.0], [1e-3], [10.0]])
    y = warped(x, np.full(3, factor), np.linspace(-2, 2, BINS))
    assert power(y) == pytest.approx(power(x))


def test_factor_one_changes_nothing() -> None:
    x = _vowel(700)
    assert warped(x, np.ones(1)) is x


def test_silence_stays_finite() -> None:
    y = warped(np.zeros((2, BINS)), np.array([0.8, 1.2]))
    assert np.isfinite(y).all() and y.max() < 1e-12


@pytest.mark.parametrize("ratio", [0.85, 1.0, 1.18])
def test_the_factor_between_two_vocal_tracts_is_found(ratio: float) -> None:
    """Where pitch says nothing (its ratio is likely with no warp) the shapes pull most of the way."""
    source = mean_shape(_vowel(500, 1_500, 2_500, 3_500), RATE)
    target = mean_shape(_vowel(*(f * ratio for f in (500, 1_500, 2_500, 3_500)), tilt=0.3), RATE)
    assert likely_factor(source, target, np.log(ratio) / VOCAL_TRACT) == pytest.approx(ratio, rel=0.02)


def test_shapes_without_features_leave_it_to_pitch() -> None:
    flat = np.zeros(POINTS)
    assert likely_factor(flat, flat, np.log(0.5)) == pytest.approx(0.5**VOCAL_TRACT, rel=0.01)


def test_colour_brings_the_tilt_of_one_to_the_other() -> None:
    dull, bright = _vowel(500, 1_500, tilt=0.2), _vowel(500, 1_500)
    curve = colouring(mean_shape(dull, RATE), mean_shape(bright, RATE), 1.0, BINS, RATE)
    inner = (HZ > 3_000) & (HZ < 9_000)  # where the smoothing sees no end
    assert np.polyfit(HZ[inner] / 1_000, curve[inner], 1)[0] == pytest.approx(0.2, rel=0.05)
    assert np.abs(curve).max() <= MOST_COLOUR


def test_equal_shapes_need_no_colour() -> None:
    shape = mean_shape(_vowel(500, 1_500), RATE)
    assert np.abs(colouring(shape, shape, 1.0, BINS, RATE)).max() < 1e-9
