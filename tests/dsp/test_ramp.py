from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.dsp.ramp import Ramp, db_to_gain, gain_to_db
from audio_pipeline.errors import ConfigError
from tests.dsp.chunking import SIZES, chunks, noise


def test_rises_in_a_straight_line_and_stays() -> None:
    ramp = Ramp(0.0, 100)
    ramp.set(1.0)
    assert ramp.moving and ramp.gain == 0.0 and ramp.target == 1.0
    y = ramp.process(np.ones((150, 1), np.float32))[:, 0]
    np.testing.assert_allclose(y, np.minimum(np.arange(1, 151) / 100, 1), atol=1e-7)
    assert not ramp.moving and ramp.gain == 1.0


def test_new_target_midway_continues_from_there() -> None:
    ramp = Ramp(0.0, 100)
    ramp.set(1.0)
    ramp.process(np.ones((50, 1), np.float32))
    ramp.set(0.0)
    y = ramp.process(np.ones((100, 1), np.float32))[:, 0]
    np.testing.assert_allclose(y, 0.5 - np.arange(1, 101) / 200, atol=1e-7)


@pytest.mark.parametrize("size", SIZES)
def test_streamed_is_one_shot(size: int) -> None:
    def run(step: int) -> np.ndarray:
        ramp = Ramp(0.3, 960)
        ramp.set(0.7123)
        return np.concatenate([ramp.process(block) for _, block in chunks(noise(3000), step)])

    np.testing.assert_array_equal(run(size), run(1 << 30))


@pytest.mark.parametrize("gain", [0.0, 0.5, 1.0])
def test_resting_gain(gain: float) -> None:
    x = noise(100)
    np.testing.assert_array_equal(Ramp(gain, 100).process(x), x * np.float32(gain))


def test_no_ramp_is_a_step() -> None:
    ramp = Ramp(1.0, 0)
    ramp.set(0.25)
    assert ramp.gain == 0.25 and ramp.process(np.ones((1, 1), np.float32))[0, 0] == 0.25


def test_input_is_left_alone() -> None:
    x = noise(100)
    kept = x.copy()
    ramp = Ramp(0.0, 50)
    ramp.set(2.0)
    ramp.process(x)
    np.testing.assert_array_equal(x, kept)


@given(st.floats(-119, 60))
def test_decibels_round_trip(db: float) -> None:
    assert gain_to_db(db_to_gain(db)) == pytest.approx(db, abs=1e-9)


@pytest.mark.parametrize("db", [-inf, -200.0, -120.0])
def test_silence(db: float) -> None:
    assert db_to_gain(db) == 0.0 and gain_to_db(db_to_gain(db)) == -inf


def test_refuses_negative_length() -> None:
    with pytest.raises(ConfigError, match="-1 samples"):
        Ramp(1.0, -1)
