"""Pitch between speakers: estimates that grow surer, and the match of mean and spread."""

from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.pitch import (
    MEMORY_FRAMES,
    PRIOR_HZ,
    PitchSpread,
    PitchStatistics,
    matched,
    neighbours,
    periodicity,
    restored,
)


def _voice(hz: float, sd: float, frames: int, seed: int = 0) -> np.ndarray:
    return hz * np.exp(sd * np.random.default_rng(seed).standard_normal(frames))


def test_before_anything_was_heard_the_prior_holds() -> None:
    assert np.exp(PitchStatistics().spread.mean) == pytest.approx(PRIOR_HZ)


def test_a_second_of_voice_is_enough() -> None:
    """8 frames of prior against 200: 4 % of the way back to it."""
    statistics = PitchStatistics()
    statistics.add(_voice(100, 0.1, 200))
    assert np.exp(statistics.spread.mean) == pytest.approx(100, rel=0.03)


def test_a_long_hearing_forgets_the_prior() -> None:
    statistics = PitchStatistics()
    for seed in range(20):
        statistics.add(_voice(220, 0.25, 500, seed))
    assert np.exp(statistics.spread.mean) == pytest.approx(220, rel=0.01)
    assert statistics.spread.sd == pytest.approx(0.25, rel=0.05)


def test_pieces_add_up_to_the_whole() -> None:
    f0 = _voice(150, 0.2, 180)
    whole, pieces = PitchStatistics(), PitchStatistics()
    whole.add(f0)
    for piece in np.array_split(f0, 7):
        pieces.add(piece)
    assert pieces.state() == pytest.approx(whole.state())


def test_octave_errors_and_silence_move_nothing() -> None:
    statistics = PitchStatistics()
    statistics.add(_voice(120, 0.1, 1_000))
    before = statistics.state()
    statistics.add(np.array([0.0, 240.0 * 2, 30.0]))
    assert statistics.state() == before


def test_memory_ends_so_that_another_speaker_is_learnt() -> None:
    statistics = PitchStatistics()
    statistics.add(np.full(100_000, 100.0))
    assert statistics.frames == MEMORY_FRAMES
    for _ in range(60):
        statistics.add(np.full(200, 150.0))
    assert np.exp(statistics.spread.mean) > 130


def test_a_successor_knows_the_same() -> None:
    statistics = PitchStatistics()
    statistics.add(_voice(180, 0.2, 300))
    assert restored(statistics.state()).spread == statistics.spread


def test_matching_gives_mean_and_spread_of_the_target() -> None:
    source, target = PitchSpread(np.log(210), 0.2), PitchSpread(np.log(105), 0.15)
    out = np.log(matched(_voice(210, 0.2, 20_000), source, target))
    assert out.mean() == pytest.approx(target.mean, abs=0.01)
    assert out.std() == pytest.approx(target.sd, rel=0.03)


def test_a_monotonous_speaker_is_not_blown_up() -> None:
    """At most twice the movement."""
    out = matched(np.array([100.0, 110.0]), PitchSpread(np.log(100), 0.001), PitchSpread(np.log(100), 0.3))
    assert out[1] / out[0] == pytest.approx(1.1**2)


def test_periodicity_is_one_for_a_period_and_small_for_noise() -> None:
    x = np.tile(np.random.default_rng(0).standard_normal(100), 20)
    assert periodicity(x, np.array([1_000]), np.array([100]))[0] == pytest.approx(1.0)
    assert abs(periodicity(np.random.default_rng(0).standard_normal(2_000), np.array([900]), np.array([300]))[0]) < 0.2


def test_silence_and_what_lies_outside_is_not_periodic() -> None:
    assert periodicity(np.zeros(100), np.array([0, 50, 99]), np.array([40, 20, 40])).tolist() == [0, 0, 0]
    assert periodicity(np.zeros(0), np.array([], int), np.array([], int)).shape == (0,)


def test_no_voice_has_no_neighbours() -> None:
    assert not neighbours(np.zeros(5), 3).any()
