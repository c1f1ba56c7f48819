"""Joins by SOLA: in phase, without a step, and no shift where none is needed."""

from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.sola import Sola
from audio_pipeline.errors import ConfigError
from tests.dsp.chunking import noise

BLOCK, FADE, SEARCH = 400, 100, 160


def _joined(sola: Sola, windows: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([sola.join(window.astype(np.float32))[0] for window in windows])


def _cut(x: np.ndarray, blocks: int) -> list[np.ndarray]:
    """Windows of one and the same sound, each beginning half a search before its block."""
    around = np.concatenate([np.zeros(SEARCH // 2), x])
    return [around[k * BLOCK : k * BLOCK + SEARCH + BLOCK + FADE] for k in range(blocks)]


def test_windows_of_one_sound_give_that_sound() -> None:
    x = noise(10 * BLOCK, 1)[:, 0]
    y = _joined(Sola(BLOCK, FADE, SEARCH), _cut(x, 8))
    assert y == pytest.approx(x[: len(y)], abs=1e-7)  # a + (b - a) of equal float32


@pytest.mark.parametrize("period", [40.0, 97.3, 150.0])
def test_sines_that_were_cut_at_any_phase_come_out_as_one(period: float) -> None:
    """Any phase is within half a period, which the search covers: the level holds and no step is larger than a
    sine's own, but for a sample of misfit that the fade spreads out."""
    rng, n = np.random.default_rng(3), SEARCH + BLOCK + FADE
    windows = [np.sin(2 * np.pi * np.arange(n) / period + phase) for phase in rng.uniform(0, 2 * np.pi, 20)]
    y = _joined(Sola(BLOCK, FADE, SEARCH), windows)
    own = 2 * np.sin(np.pi / period)  # largest step of the sine itself
    assert np.abs(np.diff(y)).max() < 1.1 * own
    assert np.abs(y).reshape(-1, BLOCK).max(axis=1).min() > 0.99


def test_silence_is_joined_without_a_shift() -> None:
    sola = Sola(BLOCK, FADE, SEARCH)
    for _ in range(3):
        assert not sola.join(np.zeros(SEARCH + BLOCK + FADE, np.float32))[0].any()
        assert sola.shift == 0


def test_what_goes_on_is_the_beginning_of_the_next_block() -> None:
    x = noise(4 * BLOCK, 1)[:, 0]
    first, second = _cut(x, 2)
    sola = Sola(BLOCK, FADE, SEARCH)
    ahead = sola.join(first)[1]
    assert sola.join(second)[0][:FADE] == pytest.approx(ahead[:FADE], abs=1e-7)


@pytest.mark.parametrize(("block", "fade", "search"), [(100, 101, 0), (100, 0, 0), (100, 50, -1)])
def test_what_cannot_be_joined_is_refused(block: int, fade: int, search: int) -> None:
    with pytest.raises(ConfigError, match=f"joins of {fade} samples and a search of {search} do not fit"):
        Sola(block, fade, search)


def test_a_window_that_is_too_short_is_refused() -> None:
    with pytest.raises(ConfigError, match="a window of 659 samples is shorter than 660"):
        Sola(BLOCK, FADE, SEARCH).join(np.zeros(659, np.float32))
