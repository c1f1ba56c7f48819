from __future__ import annotations

from math import ceil

import numpy as np
import pytest

from audio_pipeline.dsp.resample import StreamResampler
from audio_pipeline.errors import ConfigError
from tests.dsp.chunking import SIZES, chunks, noise, tone

PAIRS = [(48000, 44100), (44100, 48000), (48000, 16000), (16000, 44100), (22050, 48000), (8000, 44100)]


def convert(x: np.ndarray, rate_in: int, rate_out: int, size: int = 1 << 30) -> np.ndarray:
    r = StreamResampler(rate_in, rate_out, x.shape[1])
    return np.concatenate([*(r.process(block) for _, block in chunks(x, size)), r.flush()])


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
@pytest.mark.parametrize("n", [0, 1, 1000, 9999])
def test_streamed_is_one_shot(rate_in: int, rate_out: int, n: int) -> None:
    x = noise(n)
    whole = convert(x, rate_in, rate_out)
    assert len(whole) == ceil(n * rate_out / rate_in)
    for size in SIZES:
        np.testing.assert_array_equal(convert(x, rate_in, rate_out, size), whole)


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
def test_impulse_stays_in_its_place(rate_in: int, rate_out: int) -> None:
    """No offset: the energy's centre is at the mapped position, to a thousandth of a sample."""
    r = StreamResampler(rate_in, rate_out, 1)
    at = 10 * r.step_samples * ceil(2000 / (10 * r.step_samples))
    x = np.zeros((2 * at, 1), np.float32)
    x[at] = 1
    y = convert(x, rate_in, rate_out, 480)[:, 0].astype(np.float64)
    assert int(np.argmax(np.abs(y))) == r.map_position(at)
    assert np.sum(np.arange(len(y)) * y**2) / np.sum(y**2) == pytest.approx(r.map_position(at), abs=1e-3)


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
def test_tone_is_kept_with_level_and_phase(rate_in: int, rate_out: int) -> None:
    """Error below -90 dB against the tone computed at the output's instants (edges apart)."""
    y = convert(tone(rate_in, 1000, rate_in), rate_in, rate_out, 480)
    expected = tone(len(y), 1000, rate_out)
    middle = slice(rate_out // 10, -rate_out // 10)
    assert 20 * np.log10(np.abs(y - expected)[middle].max() / 0.5) < -90


def test_tone_above_the_new_band_is_gone() -> None:
    y = convert(tone(48000, 12000, 48000), 48000, 16000)[1000:-1000]
    assert 20 * np.log10(np.abs(y).max() / 0.5) < -90


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
@pytest.mark.parametrize("size", [1, 441, 480])
def test_declared_latency_holds(rate_in: int, rate_out: int, size: int) -> None:
    """Never further behind than declared, and not declared idly: within 2 % and 2 chunks of what is seen."""
    r, given, worst = StreamResampler(rate_in, rate_out, 1), 0, 0.0
    for at, block in chunks(np.zeros((rate_in // (4 if size == 1 else 1), 1), np.float32), size):
        given += len(r.process(block))
        worst = max(worst, (at + len(block)) * rate_out / rate_in - given)
    assert worst <= r.latency_samples <= 1.02 * worst + 2 * (480 + 16) * rate_out / rate_in


def test_flush_starts_anew() -> None:
    x, r = noise(3000), StreamResampler(48000, 44100, 2)
    first = np.concatenate([r.process(x), r.flush()])
    np.testing.assert_array_equal(np.concatenate([r.process(x), r.flush()]), first)
    r.process(noise(777, seed=1))
    r.reset()
    np.testing.assert_array_equal(np.concatenate([r.process(x), r.flush()]), first)


def test_positions_map_exactly_at_starts() -> None:
    r = StreamResampler(48000, 44100, 1)
    assert r.step_samples == 160 and r.next_start(161) == 320 and r.next_start(0) == 0
    week = r.next_start(7 * 24 * 3600 * 48000)
    assert r.map_position(week) * 48000 == week * 44100
    assert r.map_position(161) == 148


def test_equal_rates_pass_untouched() -> None:
    x, r = noise(100), StreamResampler(48000, 48000, 2)
    assert r.process(x) is x and r.latency_samples == 0 and r.flush().shape == (0, 2)


def test_refuses_rate_zero() -> None:
    with pytest.raises(ConfigError, match="0 -> 48000 Hz"):
        StreamResampler(0, 48000, 1)
