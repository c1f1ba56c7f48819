from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_pipeline.dsp.stft import Analyser, Stft
from audio_pipeline.errors import ConfigError
from tests.dsp.chunking import SIZES, chunks, noise, tone
from tests.dsp.measures import snr_db

STFT = Stft(4096, 1024)
SMALL = Stft(256, 64)


def analyse(x: NDArray[np.float32], stft: Stft, size: int = 1 << 30) -> NDArray[np.complex64]:
    analyser = Analyser(stft, x.shape[1])
    return np.concatenate([analyser.process(block) for _, block in chunks(x, size)])


def overlap_add(pieces: NDArray[np.float32], stft: Stft) -> NDArray[np.float32]:
    """The sound (samples, channels) from sample 0 on of pieces (frames, channels, frame)."""
    found = np.zeros((stft.hop * (len(pieces) - 1) + stft.frame, pieces.shape[1]), np.float32)
    for k, piece in enumerate(pieces):
        found[k * stft.hop :][: stft.frame] += piece.T
    return found[stft.frame :]


@pytest.mark.parametrize("stft", [STFT, SMALL, Stft(96, 32), Stft(960, 480, "vorbis")])
def test_analysis_and_overlap_add_give_the_sound_back(stft: Stft) -> None:
    """To 120 dB: what is left is the rounding of float32."""
    x = noise(5 * stft.frame)
    y = overlap_add(stft.synthesise(analyse(np.concatenate([x, np.zeros_like(x)]), stft)), stft)
    assert snr_db(x, y[: len(x)]) > 120


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("n", [0, 1, 255, 2000])
def test_streamed_is_one_shot(n: int, size: int) -> None:
    x = noise(n)
    spectra = analyse(x, SMALL)
    np.testing.assert_array_equal(analyse(x, SMALL, size), spectra)


def test_frame_k_ends_at_sample_k_hop() -> None:
    """An impulse at sample p is in the frames after p/hop, overlap of them, and in no other."""
    x = np.zeros((40 * 64, 1), np.float32)
    x[1000] = 1
    energy = np.sum(np.abs(analyse(x, SMALL)) ** 2, axis=(1, 2))
    assert np.flatnonzero(energy > 1e-9).tolist() == [16, 17, 18, 19]


def test_a_tone_is_in_its_bin() -> None:
    """A sine of amplitude a between two zeros of the window: a/2 times the window's sum, which is frame/2."""
    k = 20
    spectra = analyse(tone(8 * 4096, k * 44100 / 4096, 44100), STFT)[5:-5, 0]
    assert np.argmax(np.abs(spectra), axis=1).tolist() == [k] * len(spectra)
    np.testing.assert_allclose(np.abs(spectra[:, k]), 0.5 / 2 * 4096 / 2, rtol=1e-4)
    assert np.abs(spectra[:, k + 2 :]).max() < 1e-3 * 512  # a Hann window's third bin is zero: under -60 dB


def test_energy_is_kept() -> None:
    """Parseval over overlapping Hann^2 windows, which add up to 3/8 of the overlap; 1 % for the ends."""
    x = noise(200 * 64, channels=1)
    power = np.abs(analyse(x, SMALL)[:, 0]) ** 2
    both_sides = 2 * power.sum() - power[:, 0].sum() - power[:, -1].sum()
    assert both_sides / 256 == pytest.approx(1.5 * np.sum(x.astype(np.float64) ** 2), rel=0.01)


def test_reset_forgets() -> None:
    analyser = Analyser(SMALL, 2)
    first = analyser.process(noise(700))
    analyser.reset()
    np.testing.assert_array_equal(analyser.process(noise(700)), first)


def test_the_input_is_left_alone() -> None:
    x = noise(1000)
    kept = x.copy()
    analyse(x, SMALL)
    np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize(("frame", "hop"), [(4096, 1000), (4096, 2048), (4096, 0)])
def test_windows_that_do_not_add_up_are_refused(frame: int, hop: int) -> None:
    with pytest.raises(ConfigError, match=f"hop = {hop}"):
        Stft(frame, hop)


@pytest.mark.parametrize(("frame", "hop"), [(960, 240), (960, 960), (961, 480)])
def test_vorbis_windows_overlap_by_half(frame: int, hop: int) -> None:
    with pytest.raises(ConfigError, match=f"hop = {hop} must be half of frame = {frame}"):
        Stft(frame, hop, "vorbis")
