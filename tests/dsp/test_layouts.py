"""The stereo mix of every loudspeaker layout up to 7.1, by the names of its channels: ITU-R BS.775."""

from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.channels import is_placed, to_channels

H = 0.5**0.5
SIDES = {
    "FL": (1, 0),
    "FR": (0, 1),
    "FC": (H, H),
    "LFE": (0, 0),
    "BL": (H, 0),
    "BR": (0, H),
    "SL": (H, 0),
    "SR": (0, H),
    "BC": (0.5, 0.5),
    "FLC": (1, 0),
    "FRC": (0, 1),
}
LAYOUTS = {
    "2.1": "FL FR LFE",
    "3.0": "FL FR FC",
    "3.0(back)": "FL FR BC",
    "4.0": "FL FR FC BC",
    "quad": "FL FR BL BR",
    "quad(side)": "FL FR SL SR",
    "3.1": "FL FR FC LFE",
    "5.0": "FL FR FC BL BR",
    "5.0(side)": "FL FR FC SL SR",
    "4.1": "FL FR FC LFE BC",
    "5.1": "FL FR FC LFE BL BR",
    "5.1(side)": "FL FR FC LFE SL SR",
    "6.0": "FL FR FC BC SL SR",
    "6.1": "FL FR FC LFE BC SL SR",
    "6.1(back)": "FL FR FC LFE BL BR BC",
    "7.0": "FL FR FC BL BR SL SR",
    "7.1": "FL FR FC LFE BL BR SL SR",
    "7.1(wide)": "FL FR FC LFE BL BR FLC FRC",
    "in Vorbis's order": "FL FC FR BL BR LFE",
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_loudspeaker_goes_to_its_side(name: str) -> None:
    names = tuple(LAYOUTS[name].split())
    each_alone = np.eye(len(names), dtype=np.float32)
    stereo = to_channels(each_alone, 2, names)
    np.testing.assert_allclose(stereo, [SIDES[speaker] for speaker in names], atol=1e-7)
    np.testing.assert_allclose(to_channels(each_alone, 1, names), stereo.mean(axis=1, keepdims=True), atol=1e-7)
    assert is_placed(names, len(names))


def test_what_nothing_tells_is_taken_by_count_or_not_at_all() -> None:
    assert all(is_placed((), channels) for channels in range(1, 9))
    assert not is_placed((), 9) and not is_placed((), 12) and not is_placed(("FL", "FR", "??") * 4, 12)
    np.testing.assert_allclose(to_channels(np.eye(6, dtype=np.float32), 2)[3], [0, 0])
    np.testing.assert_allclose(to_channels(np.eye(7, dtype=np.float32), 2)[4], [0.5, 0.5])
