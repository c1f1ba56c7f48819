"""Pitch of sounds whose pitch is known."""

from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.yin import Array, pitch, pitch_range

RATE = 16_000


def voice(hz: Array, harmonics: int = 12) -> Array:
    """A buzz that follows a contour of Hz a sample; harmonics fall by 6 dB an octave, as a glottis' do by 12."""
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    return (0.1 * sum(np.sin(k * phase) / k for k in range(1, harmonics + 1))).astype(np.float32)


@pytest.mark.parametrize("hz", [70.0, 110.0, 187.3, 250.0, 420.0])
def test_a_steady_pitch_is_found_to_a_tenth_of_a_semitone(hz: float) -> None:
    found = pitch(voice(np.full(RATE, hz)), RATE)
    assert (found > 0).mean() > 0.95
    assert np.abs(12 * np.log2(found[found > 0] / hz)).max() < 0.1


def test_a_glide_is_followed() -> None:
    """From 100 to 200 Hz within a second; within a semitone, since a window covers a third of one."""
    hz = 100 * 2 ** np.linspace(0, 1, RATE)
    found = pitch(voice(hz), RATE)
    middle = hz[: len(found) * 160 : 160]
    assert np.median(np.abs(12 * np.log2(np.maximum(found, 1) / middle))) < 1


def test_noise_and_silence_have_none() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    assert (pitch(noise, RATE) > 0).mean() < 0.05
    assert not pitch(np.zeros(RATE, np.float32), RATE).any()


@pytest.mark.parametrize("samples", [0, 1, 500])
def test_too_little_sound_has_no_frames(samples: int) -> None:
    assert len(pitch(np.zeros(samples, np.float32), RATE)) == 0


def test_what_is_faint_beside_the_rest_is_left_out() -> None:
    loud, faint = voice(np.full(RATE, 120.0)), voice(np.full(RATE, 300.0)) * 10 ** (-50 / 20)
    found = pitch(np.concatenate([loud, faint]), RATE)
    assert not (found[110:] > 0).any()


def test_the_range_leaves_octave_errors_out() -> None:
    hz = np.array([100.0] * 40 + [112.0] * 40 + [0.0] * 20 + [210.0] * 3, np.float32)
    found = pitch_range(hz)
    assert found is not None
    assert 100 <= found.median_hz <= 112
    assert found.sd_semitones == pytest.approx(6 * np.log2(1.12), abs=0.01)
    assert pitch_range(hz[80:]) is None
