from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.seam import Seam
from tests.dsp.chunking import SIZES, chunks, tone

RATE, FADE = 48_000, 240


@pytest.mark.parametrize("hole", [0, 100, 1000])
@pytest.mark.parametrize("size", SIZES)
def test_a_hole_makes_no_click_however_the_sound_was_cut(size: int, hole: int) -> None:
    """No step above that of the tone itself and of the fade; where no samples are missing it is a crossfade."""
    x, seam = tone(4800, 300, RATE, 2), Seam(2, FADE)
    before = [seam.process(block) for _, block in chunks(x[:2000], size)]
    concealed, after = seam.join(hole, x[2717:])
    y = np.concatenate([*before, concealed, after])
    assert len(concealed) == hole and len(y) == 2000 + hole + len(x) - 2717
    limit = 0.5 * 2 * np.pi * 300 / RATE + 1 / min(FADE, hole or FADE)
    assert np.abs(np.diff(y[:, 0])).max() < limit
    np.testing.assert_array_equal(y[:2000], x[:2000])
    np.testing.assert_array_equal(after[FADE:], x[2717 + FADE :])
    assert not concealed[FADE:].any()


def test_at_the_very_beginning_there_is_nothing_to_go_on_with() -> None:
    concealed, after = Seam(1, FADE).join(50, np.ones((500, 1), np.float32))
    assert not concealed.any() and after[0] < 0.01 and after[-1] == 1
