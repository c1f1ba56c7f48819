"""The kept sample, and what is measured of how somebody speaks."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from audio_pipeline.errors import MediaError
from audio_pipeline.models.voices.record import PITCH_BINS
from audio_pipeline.models.voices.sample import MOST_S, pack_sample, read_sample
from audio_pipeline.models.voices.traits import edges_hz, traits
from tests.models.voice_drafts import flac
from tests.shared import shared

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("gain", [0.1, 3.0])
def test_the_sample_comes_back_to_a_bit_of_16(gain: float) -> None:
    """Half a step of 16 bit; what is over full scale is turned down as a whole."""
    x = (np.sin(np.arange(4_000) / 7) * gain).astype(np.float32)
    y, rate = read_sample(pack_sample(x, 22_050))
    assert rate == 22_050 and y == pytest.approx(x / max(gain, 1), abs=1 / 32_768)


def test_high_rates_come_down_to_48_khz() -> None:
    x = np.sin(2 * np.pi * 440 * np.arange(96_000) / 96_000).astype(np.float32)
    y, rate = read_sample(pack_sample(x, 96_000))
    assert rate == 48_000 and len(y) == pytest.approx(48_000, abs=2)


def test_what_unpacks_to_hours_is_read_for_two_minutes() -> None:
    data = flac(np.zeros(8_000 * 3_600, np.int16), 8_000)
    assert len(data) < 1 << 20
    assert len(read_sample(data)[0]) == MOST_S * 8_000


@pytest.mark.parametrize("data", [b"", b"fLaC", b"fLaC" + bytes(200), flac()[:60]])
def test_what_is_damaged_is_one_sentence(data: bytes) -> None:
    with pytest.raises(MediaError, match="the voice's sample: cannot be read"):
        read_sample(data)


@pytest.mark.parametrize("semitones", [-5, 0, 7])
def test_a_voice_at_another_speed_is_that_much_higher(semitones: int) -> None:
    """Played faster, a voice is higher by the same ratio; YIN and the speech detector may differ by a fifth of one."""
    x, rate = soundfile.read(sorted(shared("speech/3005").glob("*.flac"))[0], dtype="float32")
    once, other = traits(x, rate), traits(x, round(rate * 2 ** (semitones / 12)))
    assert 12 * np.log2(other.pitch_hz / once.pitch_hz) == pytest.approx(semitones, abs=0.2)
    assert len(once.pitch_counts) == PITCH_BINS and sum(once.pitch_counts) > 200
    assert edges_hz()[int(np.argmax(once.pitch_counts))] == pytest.approx(once.pitch_hz, rel=0.4)


@pytest.mark.parametrize("x", [np.zeros(0, np.float32), np.zeros(16_000, np.float32)])
def test_of_nothing_there_is_nothing(x: np.ndarray) -> None:
    found = traits(x, 16_000)
    assert (found.pitch_hz, found.pitch_spread_st, sum(found.pitch_counts)) == (0, 0, 0)
