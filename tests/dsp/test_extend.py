from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.dsp.extend import Extension
from audio_pipeline.dsp.switch import Switch
from audio_pipeline.errors import ConfigError
from tests.dsp.chunking import SIZES, tone

FADE, RATE = 480, 48_000


def faded(x: np.ndarray, here: list[tuple[int, int]], size: int, fade: int = FADE) -> np.ndarray:
    """`x` where it is `here`, by extension and switch against silence; nothing is known beyond each block."""
    extension, switch, out = Extension(1, fade), Switch(1, fade, enter_samples=fade + 1), []
    for at in range(0, len(x), size):
        block = x[at : at + size]
        run = next((min(stop, at + size) - at for start, stop in here if start <= at < stop), 0)
        known = np.where(np.arange(len(block))[:, None] < run, block, np.float32(np.nan))
        continued, usable, _ = extension.process(known, run)
        out.append(switch.process(continued, usable, np.zeros_like(block)))
    return np.concatenate(out)[:, 0]


@pytest.mark.parametrize("size", SIZES)
def test_all_that_is_there_is_heard_as_it_is(size: int) -> None:
    """No look-ahead, and still not a sample is touched while samples come."""
    x = tone(10_000, 440, RATE)
    np.testing.assert_array_equal(faded(x, [(0, 10_000)], size), x[:, 0])


def test_the_fade_begins_where_the_samples_end() -> None:
    x = tone(4800, 440, RATE)
    y = faded(x, [(0, 2400)], 480)
    np.testing.assert_array_equal(y[:2400], x[:2400, 0])
    w = np.arange(FADE, 0, -1) / FADE
    np.testing.assert_allclose(y[2400 : 2400 + FADE], x[2400 - FADE : 2400][::-1, 0] * w, atol=1e-6)
    assert not y[2400 + FADE :].any()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=10), st.sampled_from([1, 7, 48]), st.integers(1, 200))
def test_no_step_is_larger_than_that_of_tone_and_fade(lengths: list[int], size: int, fade: int) -> None:
    """A gap may begin and end anywhere: the slope is that of the tone plus one step of the fade."""
    edges = np.cumsum([0, *(length * size for length in lengths)]).tolist()
    here = list(zip(edges[::2], edges[1::2], strict=False))
    x = tone(edges[-1] + 4 * fade, 440, RATE)
    y = faded(x, here, size, fade)
    assert np.isfinite(y).all(), "an absent sample was used"
    slope = np.abs(np.diff(x[:, 0])).max() + 1 / fade
    assert np.abs(np.diff(y, prepend=0)).max() <= slope + 1e-5


def test_nothing_to_continue_is_silence() -> None:
    y, usable, run = Extension(2, 10).process(np.full((4, 2), np.nan, np.float32), 0)
    assert not y.any() and (usable, run) == (10, 0)


def test_an_extension_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="got 2 and 0"):
        Extension(2, 0)
