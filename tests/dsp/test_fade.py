from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.fade import crossfade, fade_in, fade_out
from audio_pipeline.errors import ConfigError
from tests.dsp.chunking import noise


@pytest.mark.parametrize("n", [0, 1, 2, 480])
def test_gains_are_complementary(n: int) -> None:
    np.testing.assert_allclose(fade_in(n) + fade_out(n), 1, atol=1e-6)
    np.testing.assert_allclose(fade_in(n, "equal_power") ** 2 + fade_out(n, "equal_power") ** 2, 1, atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 480])
def test_rises_within_bounds(n: int) -> None:
    for curve in ("linear", "equal_power"):
        gains = fade_in(n, curve)  # type: ignore[arg-type]
        assert (np.diff(gains) > 0).all() and 0 < gains[0] and gains[-1] < 1


def test_linear_crossfade_of_equal_signals_is_that_signal() -> None:
    x = noise(480)
    np.testing.assert_allclose(crossfade(x, x), x, atol=1e-7)


def test_equal_power_crossfade_keeps_the_power_of_strangers() -> None:
    """Within 0.2 dB at any tenth of the fade for 1 s of independent noise."""
    y = crossfade(noise(48000, 1), noise(48000, 1, seed=1), "equal_power")
    power = 10 * np.log10(np.mean(y.reshape(10, -1) ** 2, axis=1) / 0.01)
    assert np.abs(power).max() < 0.2


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="'cubic'"):
        fade_in(10, "cubic")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="-1 samples"):
        fade_in(-1)
    with pytest.raises(ConfigError, match="one shape"):
        crossfade(noise(10), noise(11))
