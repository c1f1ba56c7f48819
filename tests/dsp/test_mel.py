"""Mel spectrograms: the field's reference implementation."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from audio_pipeline.dsp.mel import Mel, hz_to_mel, mel_to_hz, triangles
from audio_pipeline.errors import ConfigError
from tests.dsp.chunking import noise, tone

MEL = Mel(16_000, 400, 160, 40)


@pytest.mark.parametrize(("rate", "frame", "bands"), [(16_000, 400, 40), (24_000, 1_024, 80), (48_000, 2_048, 128)])
def test_filters_are_librosas(rate: int, frame: int, bands: int) -> None:
    reference = librosa.filters.mel(sr=rate, n_fft=frame, n_mels=bands)
    assert Mel(rate, frame, frame // 4, bands).filters == pytest.approx(reference, abs=1e-7)  # float32


def test_triangles_of_height_one_are_librosas() -> None:
    reference = librosa.filters.mel(sr=44_100, n_fft=2048, n_mels=96, fmax=20_000, norm=None)
    assert triangles(44_100, 2048, 96, 20_000) == pytest.approx(reference, abs=1e-5)


def test_spectrogram_is_librosas_to_70_db() -> None:
    """Both in float32; librosa's transform is complex64, ours complex128, so they differ by its rounding."""
    x = noise(16_000, 1)[:, 0]
    reference = librosa.feature.melspectrogram(y=x, sr=16_000, n_fft=400, hop_length=160, n_mels=40).T
    found = MEL.centred(x)
    assert found.shape == reference.shape
    assert 10 * np.log10(np.sum(reference**2) / np.sum((found - reference) ** 2)) > 70


def test_a_tone_is_loudest_in_the_band_around_it() -> None:
    centres = mel_to_hz(np.linspace(0.0, float(hz_to_mel(8_000)), 42))[1:-1]
    for band in (5, 20, 35):
        spectrum = MEL.frames(tone(4_000, float(centres[band]), 16_000)[:, 0]).mean(axis=0)
        assert int(np.argmax(spectrum)) == band


def test_the_scale_inverts() -> None:
    hz = np.array([0.0, 100.0, 999.0, 1_000.0, 1_001.0, 8_000.0])
    assert mel_to_hz(hz_to_mel(hz)) == pytest.approx(hz)


def test_frames_further_apart_than_they_are_long_are_refused() -> None:
    with pytest.raises(ConfigError, match="frames of 400 every 500 samples"):
        Mel(16_000, 400, 500, 40)
