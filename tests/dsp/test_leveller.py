"""The gain in front of the leveller cancels; noise and silence are not raised to where speech lies."""

from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.leveller import FLOOR_PARTS, QUIET_BELOW_DB, TARGET_DB, Array, Leveller, levelled

RATE, WINDOW = 16_000, 512
RNG = np.random.default_rng(0)


def run(x: Array) -> Array:
    stream = Leveller(WINDOW / RATE)
    return np.concatenate([stream(window) for window in x[: len(x) // WINDOW * WINDOW].reshape(-1, WINDOW)])


def rms_db(x: Array) -> float:
    return float(10 * np.log10(np.mean(np.square(x, dtype=np.float64))))


def bursts(snr_db: float = 30.0, seconds: int = 8) -> Array:
    """Noise that is loud for half of each second, over a floor."""
    x = RNG.standard_normal(seconds * RATE)
    loud = (np.arange(len(x)) % RATE) < RATE // 2
    found: Array = (x * np.where(loud, 0.1, 0.1 * 10 ** (-snr_db / 20))).astype(np.float32)
    return found


@pytest.mark.parametrize("gain_db", [-80.0, -60.0, -30.0, 20.0])
def test_the_gain_in_front_cancels(gain_db: float) -> None:
    """To float32's rounding, -120 dB; no absolute level is in it but that of digital silence, -150 dBFS."""
    x = bursts()
    error = run(x * np.float32(10 ** (gain_db / 20))) - run(x)
    assert rms_db(error + 1e-12) < rms_db(run(x)) - 110


def test_the_loud_half_comes_to_the_target() -> None:
    y = run(bursts()).reshape(-1, WINDOW)
    levels = 10 * np.log10(np.mean(np.square(y), axis=1))
    loud = np.sort(levels)[-len(levels) // 4 :]  # whole windows of a burst; 512 samples of noise vary by 0.3 dB
    assert loud == pytest.approx(TARGET_DB, abs=2.5)


@pytest.mark.parametrize("level_db", [-90.0, -60.0, -20.0])
def test_steady_noise_stays_far_below_the_target(level_db: float) -> None:
    """The floor is the quietest of many windows of 512 samples: 1 dB under their mean."""
    noise = (RNG.standard_normal(10 * RATE) * 10 ** (level_db / 20)).astype(np.float32)
    assert rms_db(run(noise)) == pytest.approx(TARGET_DB - QUIET_BELOW_DB, abs=1.5)


def test_silence_stays_silence() -> None:
    x = np.concatenate([np.zeros(RATE, np.float32), bursts(), np.zeros(10 * RATE, np.float32)])
    assert not run(x)[: RATE // WINDOW * WINDOW].any() and not run(x)[-RATE:].any()


def test_the_state_does_not_grow() -> None:
    stream = Leveller(WINDOW / RATE)
    for window in bursts(60.0, 60)[: 60 * RATE // WINDOW * WINDOW].reshape(-1, WINDOW):
        stream(window)
    assert len(stream._lows) == FLOOR_PARTS


def test_after_a_reset_nothing_is_known() -> None:
    stream, x = Leveller(WINDOW / RATE), bursts()
    before = stream(x[:WINDOW])
    stream(x[:WINDOW] * 100)
    stream.reset()
    assert np.array_equal(stream(x[:WINDOW]), before)


def test_what_is_no_number_is_passed_on() -> None:
    stream = Leveller(WINDOW / RATE)
    assert np.isnan(stream(np.full(WINDOW, np.nan, np.float32))).all()
    assert np.isfinite(stream(bursts()[:WINDOW])).all()


def test_a_whole_sound_at_a_level() -> None:
    assert rms_db(levelled(bursts(), -26.0)) == pytest.approx(-26.0, abs=0.01)
    assert not levelled(np.zeros(10, np.float32), -26.0).any() and len(levelled(np.zeros(0, np.float32), -26.0)) == 0
