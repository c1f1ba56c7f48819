from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_pipeline.dsp.normalise import NormaliserSettings, SlowNormaliser
from audio_pipeline.errors import ConfigError
from tests.dsp.chunking import SIZES, chunks, noise

RATE = 44_100
SETTINGS = NormaliserSettings(target_db=-16.0, tolerance_db=4.0, max_gain_db=40.0, gate_db=-72.0, time_s=2.0)


def gains_db(x: NDArray[np.float32], size: int = 1 << 30) -> NDArray[np.float32]:
    normaliser = SlowNormaliser(RATE, SETTINGS)
    gains = np.concatenate([normaliser.process(block) for _, block in chunks(x, size)])
    assert len(gains) == len(x) // SETTINGS.block
    return 20 * np.log10(gains)


def at_db(level_db: float, seconds: float = 1.0) -> NDArray[np.float32]:
    return noise(round(seconds * RATE)) * np.float32(10 ** ((level_db + 20) / 20))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("n", [0, 1, 1024, 5000])
def test_streamed_is_one_shot(n: int, size: int) -> None:
    x = noise(n) * 0.1
    np.testing.assert_array_equal(gains_db(x, size), gains_db(x))


@pytest.mark.parametrize(("level_db", "gain_db"), [(-40, 20), (-30, 10), (-6, -6), (-90, 0), (-70, 40)])
def test_the_level_is_brought_to_the_edge_of_the_tolerance(level_db: float, gain_db: float) -> None:
    """Within 0.3 dB: blocks of 2048 values of noise have a level to that. Below the gate nothing happens."""
    assert gains_db(at_db(level_db))[-1] == pytest.approx(gain_db, abs=0.3)


@pytest.mark.parametrize("level_db", [-19.5, -16, -12.5])
def test_mastered_music_passes_untouched(level_db: float) -> None:
    np.testing.assert_array_equal(gains_db(at_db(level_db)), 0)


def test_the_first_block_already_tells_the_level_and_later_ones_drift() -> None:
    """After a step of 20 dB down the mean power falls by e, 4.3 dB, in each `time_s`."""
    assert gains_db(at_db(-40))[0] == pytest.approx(20, abs=0.5)
    gains = gains_db(np.concatenate([at_db(-20, 8), at_db(-60, 2)]))
    assert gains[-1] - gains[len(gains) * 8 // 10 - 1] == pytest.approx(4.3, abs=0.3)


def test_pauses_change_nothing() -> None:
    gains = gains_db(np.concatenate([at_db(-40, 2), np.zeros((RATE, 2), np.float32)]))
    np.testing.assert_array_equal(gains[-RATE // 1024 + 1 :], gains[-1])
    assert gains[-1] == pytest.approx(20, abs=0.3)


def test_reset_forgets_the_level() -> None:
    normaliser = SlowNormaliser(RATE, SETTINGS)
    first = normaliser.process(at_db(-40))
    normaliser.reset()
    np.testing.assert_array_equal(normaliser.process(at_db(-40)), first)


@pytest.mark.parametrize("wrong", [{"max_gain_db": -1.0}, {"tolerance_db": -1.0}, {"time_s": 0.0}, {"block": 0}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    (name, value), *_ = wrong.items()
    with pytest.raises(ConfigError, match=f"{name} = {value}"):
        NormaliserSettings(**wrong)
