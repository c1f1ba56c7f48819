from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.level import LevelMeter, overs, sanitise
from audio_pipeline.errors import ConfigError
from tests.dsp.chunking import SIZES, chunks, noise, tone


def test_full_scale_sine_reads_0_and_minus_3_01() -> None:
    meter = LevelMeter(48000, 2)
    assert meter.process(tone(4800, 1000, 48000, 2, amplitude=1.0)) == 1
    np.testing.assert_allclose(meter.peak_db, 0, atol=1e-5)
    np.testing.assert_allclose(meter.rms_db, -3.0103, atol=1e-4)


def test_silence_and_nothing_read_minus_infinity() -> None:
    meter = LevelMeter(48000, 1)
    assert meter.process(np.zeros((0, 1), np.float32)) == 0 and meter.peak_db[0] == -np.inf
    meter.process(np.zeros((48000, 1), np.float32))
    assert meter.peak_db[0] == meter.rms_db[0] == meter.hold_db[0] == -np.inf


def test_hold_falls_20_db_in_1_7_s() -> None:
    meter = LevelMeter(48000, 1)
    meter.process(tone(4800, 1000, 48000, amplitude=1.0))
    meter.process(np.zeros((int(48000 * 1.7), 1), np.float32))
    assert meter.hold_db[0] == pytest.approx(-20, abs=1e-3) and meter.peak_db[0] == -np.inf


@pytest.mark.parametrize("size", SIZES)
def test_block_size_changes_only_rounding(size: int) -> None:
    def read(step: int) -> np.ndarray:
        meter, rows = LevelMeter(8000, 2), []
        for _, block in chunks(noise(9000), step):
            meter.process(block)
            rows.append([meter.peak_db, meter.rms_db, meter.hold_db])
        return np.array(rows[-1])

    np.testing.assert_allclose(read(size), read(1 << 30), atol=1e-9)


def test_channels_are_apart() -> None:
    meter = LevelMeter(48000, 2)
    meter.process(tone(4800, 1000, 48000, 2) * np.array([1, 0.1], np.float32))
    assert meter.peak_db[0] - meter.peak_db[1] == pytest.approx(20, abs=1e-4)


def test_overs_counts_beyond_full_scale_only() -> None:
    assert overs(np.array([[1.0, -1.0], [1.0001, -2.0]], np.float32)) == 2
    assert overs(np.zeros((0, 2), np.float32)) == 0


def test_sanitise_mends_and_counts() -> None:
    x = noise(10)
    same, bad = sanitise(x)
    assert same is x and bad == 0
    x[3] = np.nan, np.inf
    mended, bad = sanitise(x)
    assert bad == 2 and not mended[3].any() and np.isnan(x[3, 0])
    np.testing.assert_array_equal(np.delete(mended, 3, axis=0), np.delete(x, 3, axis=0))


def test_refuses_no_channels() -> None:
    with pytest.raises(ConfigError, match="48000 Hz and 0"):
        LevelMeter(48000, 0)
