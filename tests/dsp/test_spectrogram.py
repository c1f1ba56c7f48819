from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.spectrogram import FLOOR_DB, LogSpectrogram
from audio_pipeline.errors import ConfigError
from tests.dsp.chunking import SIZES, chunks, noise, tone

RATE = 8_000


@pytest.mark.parametrize("size", SIZES)
def test_streamed_equals_one_shot_to_the_bit(size: int) -> None:
    x = noise(4_000)
    whole = LogSpectrogram(RATE).push(x)
    streamed = LogSpectrogram(RATE)
    parts = [streamed.push(block) for _, block in chunks(x, size)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert whole.shape == (4_000 // streamed.hop, 96)


@pytest.mark.parametrize("hz", [100, 440, 1_000, 3_000])
def test_a_full_scale_sine_reads_0_db_in_its_own_band(hz: float) -> None:
    """A Hann window lets a tone between two bins fall short by 1.42 dB at most (scalloping loss); so does this."""
    spectrogram = LogSpectrogram(RATE)
    columns = spectrogram.push(tone(RATE, hz, RATE, 2, amplitude=1.0))
    steady = columns[len(columns) // 2]
    band = int(np.searchsorted(spectrogram.edges_hz, hz)) - 1
    low, high = spectrogram.edges_hz[steady.argmax() : steady.argmax() + 2]
    bin_hz = RATE / spectrogram.window  # low bands are narrower than a bin of the transform
    assert low - bin_hz <= hz <= high + bin_hz
    assert -1.5 <= steady.max() <= 0.1
    far = np.abs(np.arange(96) - band) > 24
    assert steady[far].max() < -60, "nothing of it elsewhere"


def test_silence_is_the_floor_and_bands_are_steps_of_pitch() -> None:
    spectrogram = LogSpectrogram(RATE, bands=24)
    assert (spectrogram.push(np.zeros((RATE, 1), np.float32)) == FLOOR_DB).all()
    ratios = spectrogram.edges_hz[1:] / spectrogram.edges_hz[:-1]
    np.testing.assert_allclose(ratios, ratios[0])
    assert spectrogram.edges_hz[-1] == pytest.approx(RATE / 2)


def test_another_number_of_channels_begins_anew() -> None:
    spectrogram = LogSpectrogram(RATE)
    spectrogram.push(noise(RATE, 2))
    assert (spectrogram.push(np.zeros((spectrogram.hop, 1), np.float32)) == FLOOR_DB).all()


@pytest.mark.parametrize("wrong", [{"bands": 0}, {"low_hz": 4_000}, {"low_hz": 0}])
def test_what_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected bands >= 1 and low_hz below 4000 Hz"):
        LogSpectrogram(RATE, **wrong)  # type: ignore[arg-type]
