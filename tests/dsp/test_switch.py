from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.dsp.switch import Switch
from audio_pipeline.errors import ConfigError
from tests.dsp.chunking import SIZES, chunks, tone

FADE = 480


def weights(runs: list[tuple[int, int]], total: int, size: int, fade: int = FADE) -> np.ndarray:
    """Weight of the primary: it is 1 in `runs` [start, stop) and NaN elsewhere, the standby is 0."""
    primary = np.full((total, 1), np.nan, np.float32)
    for start, stop in runs:
        primary[start:stop] = 1.0
    switch, out = Switch(1, fade), []
    for at, block in chunks(primary, size):
        run = next((stop - at for start, stop in runs if start <= at < stop), 0)
        out.append(switch.process(block, run, np.zeros_like(block)))
    return np.concatenate(out)[:, 0]


def test_fade_out_ends_where_the_primary_ends() -> None:
    w = weights([(0, 2000)], 3000, 100)
    assert (w[: 2000 - FADE + 1] == 1).all() and not w[2000:].any()
    np.testing.assert_allclose(w[2000 - FADE : 2000], np.arange(FADE, 0, -1) / FADE, atol=1e-7)


def test_fades_back_in_at_once_when_the_primary_is_back() -> None:
    w = weights([(0, 1000), (1500, 4000)], 5000, 100)
    assert not w[1000:1500].any()
    np.testing.assert_allclose(w[1500 : 1500 + FADE], np.arange(1, FADE + 1) / FADE, atol=1e-7)


def test_crumbs_are_left_alone() -> None:
    assert not weights([(0, 0), (1000, 1000 + 2 * FADE - 1)], 3000, 1000).any()


@pytest.mark.parametrize("size", SIZES)
def test_block_size_changes_nothing(size: int) -> None:
    np.testing.assert_array_equal(weights([(0, 7000)], 10000, size), weights([(0, 7000)], 10000, 333))


@given(st.lists(st.integers(1, 300), max_size=12), st.integers(1, 64), st.integers(1, 200))
def test_weight_never_jumps_nor_touches_what_is_absent(lengths: list[int], fade: int, size: int) -> None:
    edges = np.cumsum([0, *lengths]).tolist()
    runs = list(zip(edges[::2], edges[1::2], strict=False))
    w = weights(runs, edges[-1] + 50, size, fade)
    assert np.isfinite(w).all()  # a NaN would come from an absent sample
    assert (np.abs(np.diff(np.concatenate([[w[0]], w]))) <= 1 / fade + 1e-6).all()


def test_equal_signals_keep_their_level() -> None:
    """Equal gain: a tone on both sides stays within -120 dB of itself through both fades."""
    x = tone(6000, 440, 48000)
    switch = Switch(1, FADE)
    runs = [3000 - at if at < 3000 else 6000 - at if at > 3500 else 0 for at in range(0, 6000, 100)]
    y = np.concatenate([switch.process(b, run, b) for run, b in zip(runs, np.split(x, 60), strict=True)])
    assert np.abs(y - x).max() < 1e-6


def test_an_own_threshold_for_short_lookahead() -> None:
    x = np.ones((100, 1), np.float32)
    for enter, expected in [(None, 0.0), (FADE, 100 / FADE)]:
        switch = Switch(1, FADE, enter)
        switch.process(x, 0, x)
        switch.process(x, FADE + 100, x)
        assert switch.weight == expected


def test_refuses_blocks_of_other_shapes() -> None:
    with pytest.raises(ConfigError, match=r"\(10, 1\) and standby \(9, 1\) must be \(n, 1\)"):
        Switch(1, 10).process(np.zeros((10, 1), np.float32), 10, np.zeros((9, 1), np.float32))
    with pytest.raises(ConfigError, match="fade of 1 sample"):
        Switch(1, 0)
