"""What is said of a recording is what was done to it."""

from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.resample import resampled
from audio_pipeline.dsp.sample_quality import bandwidth_hz, clipped_ms, snr_db

RATE = 16_000
WINDOW = RATE * 30 // 1000
RNG = np.random.default_rng(1)


def bursts(seconds: int = 6, rate: int = RATE) -> tuple[np.ndarray, np.ndarray]:
    """Noise for a second, silence for a second, in turn; and which windows of 30 ms are loud."""
    loud = np.arange(seconds * rate) // rate % 2 == 0
    x = RNG.standard_normal(len(loud)).astype(np.float32) * 0.1 * loud
    size = rate * 30 // 1000
    count = len(x) // size
    return x, loud[: count * size].reshape(count, size).mean(axis=1) > 0.5


@pytest.mark.parametrize("db", [0.0, 10.0, 30.0, 60.0])
def test_the_ratio_is_that_of_the_powers(db: float) -> None:
    """Within 0.5 dB: windows of 480 samples of noise vary by 0.28 dB, and some lie across an edge."""
    x, spoken = bursts()
    noise = RNG.standard_normal(len(x)).astype(np.float32) * 0.1 * 10 ** (-db / 20)
    assert snr_db(x + noise, RATE, spoken) == pytest.approx(db, abs=0.5)


def test_digital_silence_in_the_pauses_is_as_good_as_it_gets() -> None:
    x, spoken = bursts()
    assert snr_db(10 * x, RATE, spoken) == 80.0
    assert snr_db(x, RATE, np.zeros_like(spoken)) == 0.0
    assert snr_db(x[:0], RATE, spoken[:0]) == 0.0


def test_without_pauses_the_quietest_moments_stand_for_them() -> None:
    x = RNG.standard_normal(5 * RATE).astype(np.float32)
    assert snr_db(x, RATE, np.ones(len(x) // WINDOW, np.bool_)) < 12


@pytest.mark.parametrize("gain", [1.0, 0.3])
@pytest.mark.parametrize("limit", [0.2, 0.5, 1.0])
def test_flat_tops_are_counted_also_where_they_were_turned_down(limit: float, gain: float) -> None:
    """Of a sine of amplitude 1 / limit, limited at 1, this share is flat: 2 / pi * acos(limit)."""
    t = np.arange(2 * RATE) / RATE
    x = np.clip(np.sin(2 * np.pi * 100.3 * t) / limit, -1, 1).astype(np.float32) * np.float32(gain)
    expected_ms = 2000 * 2 / np.pi * np.arccos(limit)
    assert clipped_ms(x, RATE) == pytest.approx(expected_ms, abs=2 if limit == 1 else 0.03 * expected_ms)


def test_loud_but_whole_sound_is_not_clipped() -> None:
    pcm = np.round(RNG.standard_normal(5 * RATE) * 4000).astype(np.int16)
    assert clipped_ms((pcm / 32768).astype(np.float32), RATE) == 0
    slow = np.round(np.sin(2 * np.pi * 50.0 * np.arange(480) / 48_000) * 3000)  # flat for some samples at its crest
    assert clipped_ms((slow / 32768).astype(np.float32), 48_000) == 0
    assert clipped_ms(np.zeros(0, np.float32), RATE) == clipped_ms(np.zeros(99, np.float32), RATE) == 0


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_the_band_ends_where_a_resampler_cut_it(rate: int) -> None:
    """Within 5 %: the converter's own edge lies below half the rate."""
    x, spoken = bursts(rate=48_000)
    cut = resampled(resampled(x[:, None], 48_000, rate), rate, 48_000)[:, 0]
    assert bandwidth_hz(cut, 48_000, spoken) == pytest.approx(rate / 2, rel=0.05)


def test_noise_above_the_voice_is_not_the_voice() -> None:
    x, spoken = bursts(rate=48_000)
    low = resampled(resampled(x[:, None], 48_000, 8_000), 8_000, 48_000)[:, 0]
    hiss = RNG.standard_normal(len(low)).astype(np.float32) * 0.003
    assert bandwidth_hz(low + hiss, 48_000, spoken) == pytest.approx(4_000, rel=0.1)
    assert bandwidth_hz(low[:100], 48_000, spoken) == bandwidth_hz(low, 48_000, np.zeros_like(spoken)) == 0
