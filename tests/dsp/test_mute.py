from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.mute import Mute

FADE = 960


def played(chunk: int, turns: dict[int, bool]) -> np.ndarray:
    """A constant through a mute that turns at these samples."""
    mute, out, x = Mute(False, FADE), [], np.ones((6000, 2), np.float32)
    edges = sorted({*range(0, 6000, chunk), *turns, 6000})
    for a, b in zip(edges, edges[1:], strict=False):
        if a in turns:
            mute.turn(turns[a])
        out.append(mute.process(x[a:b]))
    return np.concatenate(out)


@pytest.mark.parametrize("chunk", [1, 17, 480, 1024])
def test_any_chunking_gives_the_same(chunk: int) -> None:
    turns = {1000: True, 3000: False, 3300: True, 5000: False}
    np.testing.assert_array_equal(played(chunk, turns), played(6000, turns))


def test_silence_is_silent_and_what_is_let_through_is_untouched() -> None:
    y = played(480, {1000: True, 3000: False})[:, 0]
    assert (y[:1000] == 1).all() and (y[1000 + FADE : 3000] == 0).all() and (y[3000 + FADE :] == 1).all()
    assert np.abs(np.diff(y)).max() < np.pi / 2 / FADE * 1.01


def test_it_turns_back_from_where_it_is() -> None:
    y = played(480, {1000: True, 1300: False})[:, 0]
    assert np.abs(np.diff(y)).max() < np.pi / 2 / FADE * 1.05 and 0 < y.min() < 0.9


def test_nothing_in_nothing_out() -> None:
    assert Mute(True, FADE).process(np.zeros((0, 2), np.float32)).shape == (0, 2)
