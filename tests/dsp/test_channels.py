from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.errors import ConfigError
from tests.dsp.chunking import noise

H = 0.5**0.5


def unit(channels: int) -> np.ndarray:
    """Row k has a 1 in channel k alone: the output is the matrix in use."""
    return np.eye(channels, dtype=np.float32)


def test_same_count_is_the_same_array() -> None:
    x = noise(10)
    assert to_channels(x, 2) is x


@pytest.mark.parametrize("channels", [2, 6])
def test_mono_goes_everywhere_and_back(channels: int) -> None:
    x = noise(10, 1)
    y = to_channels(x, channels)
    assert y.shape == (10, channels) and (y == x).all()
    if channels == 2:
        np.testing.assert_array_equal(to_channels(y, 1), x)


def test_stereo_to_mono_is_the_mean() -> None:
    assert to_channels(unit(2), 1)[:, 0].tolist() == [0.5, 0.5]


def test_5_1_to_stereo_by_bs775() -> None:
    expected = [[1, 0], [0, 1], [H, H], [0, 0], [H, 0], [0, H]]
    np.testing.assert_allclose(to_channels(unit(6), 2), expected, atol=1e-7)


@pytest.mark.parametrize("channels", [3, 4, 5, 8])
def test_every_surround_mix_is_symmetric_and_keeps_the_front(channels: int) -> None:
    m = to_channels(unit(channels), 2)
    np.testing.assert_array_equal(m[:2], np.eye(2))
    assert m[:, 0].sum() == pytest.approx(m[:, 1].sum())
    assert set(m[2:].ravel()) <= {np.float32(0), np.float32(H)}


def test_surround_to_mono_is_the_mean_of_its_stereo() -> None:
    x = noise(10, 6)
    np.testing.assert_allclose(to_channels(x, 1), to_channels(x, 2).mean(axis=1, keepdims=True), atol=1e-7)


def test_other_counts_keep_places() -> None:
    x = noise(10, 12)
    np.testing.assert_array_equal(to_channels(x, 4), x[:, :4])
    y = to_channels(x[:, :2], 6)
    np.testing.assert_array_equal(y[:, :2], x[:, :2])
    assert not y[:, 2:].any()


def test_empty_block() -> None:
    assert to_channels(np.zeros((0, 6), np.float32), 2).shape == (0, 2)


def test_dtype_stays() -> None:
    for given, wanted in [(1, 2), (2, 1), (6, 2), (6, 1), (12, 4)]:
        assert to_channels(noise(5, given), wanted).dtype == np.float32


def test_refuses_the_impossible() -> None:
    with pytest.raises(ConfigError, match="channels = 0"):
        to_channels(noise(5), 0)
    with pytest.raises(ConfigError, match=r"shape \(5,\)"):
        to_channels(np.zeros(5, np.float32), 2)
    with pytest.raises(ConfigError, match=r"shape \(5, 0\)"):
        to_channels(np.zeros((5, 0), np.float32), 2)
