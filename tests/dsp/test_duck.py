"""One sound steps back for another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audio_pipeline.dsp.duck import HOLD_S, Ducker
from audio_pipeline.errors import ConfigError

RATE = 8_000
KEY = np.zeros((3 * RATE, 2), np.float32)
KEY[RATE : 2 * RATE] = 0.1 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)[:, None]


def ducker(**other: Any) -> Ducker:
    return Ducker(RATE, **{"db": -12.0, "attack_ms": 50.0, "release_ms": 200.0, "threshold_db": -45.0, **other})


def test_it_is_down_while_the_key_is_heard_and_back_after_it() -> None:
    gain_db = 20 * np.log10(ducker().gains(KEY))
    assert np.all(gain_db[:RATE] == 0)
    assert gain_db[RATE + round(0.061 * RATE) : 2 * RATE] == pytest.approx(-12.0, abs=1e-4)  # a hop, then the attack
    back = 2 * RATE + round((HOLD_S + 0.21) * RATE)
    assert gain_db[back:] == pytest.approx(0.0, abs=1e-4)
    assert gain_db[back - round(0.1 * RATE)] < -4.0


def test_it_moves_without_a_click() -> None:
    """12 dB in 50 ms are 0.03 dB a sample at 8 kHz: a step of 0.35 % at most."""
    assert np.abs(np.diff(ducker().gains(KEY))).max() < 0.0035


def test_what_lies_below_the_threshold_moves_nothing() -> None:
    assert np.all(ducker(threshold_db=-20.0).gains(KEY) == 1.0)


@pytest.mark.parametrize("size", [1, 17, 480, 1_024, len(KEY)])
def test_it_does_not_matter_how_the_key_is_cut(size: int) -> None:
    """Bit for bit but for the rounding of the powers' sums, which only counts at the threshold."""
    one = ducker()
    parts = [one.gains(KEY[at : at + size]) for at in range(0, len(KEY), size)]
    assert np.concatenate(parts) == pytest.approx(ducker().gains(KEY), abs=1e-6)
    assert one.gains(KEY[:0]).shape == (0,)


def test_a_gain_that_would_rise_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected db <= 0"):
        ducker(db=3.0)
