"""Conversion in blocks: the same for every cutting, each sample at its place, every sample out."""

from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.resample import resampled
from audio_pipeline.errors import ConfigError
from audio_pipeline.models.convert.blocks import BlockConverter, Layout, layout_of
from tests.dsp.chunking import SIZES, chunks, noise, tone
from tests.dsp.measures import snr_db


class Same:
    """Gives what it is given, and remembers where it lay."""

    def __init__(self, rate: int = 24_000) -> None:
        self.rate = rate
        self.starts: list[int] = []

    def convert(self, x: np.ndarray, start: int) -> np.ndarray:
        self.starts.append(start)
        return x

    def reset(self) -> None:
        self.starts.clear()


def _stream(blocks: BlockConverter, x: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([*(blocks.process(part[:, 0]) for _, part in chunks(x, size)), blocks.finish()])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_any_cutting_gives_the_same_samples(rate: int, size: int) -> None:
    x, blocks = noise(rate // 4, 1), BlockConverter(Same(), rate)
    assert np.array_equal(_stream(blocks, x, size), _stream(blocks, x, 1 << 30))


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("length", [0, 1, 999, 20_001])
def test_every_sample_comes_out_at_its_place(rate: int, length: int) -> None:
    """A band both rates have passes unshifted; what is left over is soxr's ripple and the stream's hard ends."""
    x = tone(length, 440, rate)
    y = _stream(BlockConverter(Same(), rate), x, 480)
    assert y.shape == (length,)
    if length > 4_000:
        assert snr_db(x[500:-500, 0], y[500:-500]) > 50


def test_at_one_rate_nothing_is_lost() -> None:
    x = noise(30_000, 1)
    assert _stream(BlockConverter(Same(), 24_000), x, 999) == pytest.approx(x[:, 0], abs=1e-7)


def test_a_block_waits_for_what_is_stated_and_no_longer() -> None:
    blocks = BlockConverter(Same(), 48_000)
    assert blocks.latency_samples == 48_000 * (50 + 15 + 6 + 15) // 1000
    blocks.push(np.zeros(blocks.latency_samples - 1, np.float32))
    assert blocks.pending() is None
    blocks.push(np.zeros(1, np.float32))
    assert blocks.pending() is not None


@pytest.mark.parametrize("rate", [11_025, 22_050, 44_100, 48_000])
def test_windows_lie_at_whole_samples_of_both_rates(rate: int) -> None:
    """Else the converted sound would tremble by a part of a sample from block to block."""
    same = Same()
    blocks = BlockConverter(same, rate)
    blocks.push(np.zeros(rate, np.float32))
    while (window := blocks.pending()) is not None:
        assert window.first * same.rate % rate == 0
        blocks.accept(window, blocks.run(window))
        assert same.starts[-1] == window.first * same.rate // rate


def test_a_skipped_block_is_what_came_in_and_joins() -> None:
    x, blocks = tone(48_000, 200, 48_000)[:, 0], BlockConverter(Same(48_000), 48_000)
    blocks.push(x)
    out = []
    while (window := blocks.pending()) is not None:
        out.append(blocks.skip(window) if len(out) % 2 else blocks.accept(window, blocks.run(window)))
    y = np.concatenate(out)
    assert y == pytest.approx(x[: len(y)], abs=1e-6)


def test_after_the_end_another_stream_begins() -> None:
    blocks, x = BlockConverter(Same(), 16_000), noise(5_000, 1)
    assert np.array_equal(_stream(blocks, x, 480), _stream(blocks, x, 480))


def test_rates_that_do_not_fit_round_a_block_up() -> None:
    assert BlockConverter(Same(), 44_100, Layout(block_ms=20)).block % 147 == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_silence(bad: float) -> None:
    x = noise(6_000, 1)
    broken = x.copy()
    broken[3_000] = bad
    x[3_000] = 0
    blocks = BlockConverter(Same(), 24_000)
    assert np.array_equal(_stream(blocks, broken, 480), _stream(blocks, x, 480))


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="rate = 0 Hz must be at least 1"):
        BlockConverter(Same(), 0)


def test_short_blocks_have_short_joins() -> None:
    assert layout_of("world", 10).fade_ms == 10
    assert layout_of("world").block_ms == 50 and layout_of("openvoice").block_ms == 250


def test_a_converter_that_answers_short_leaves_silence() -> None:
    class Short(Same):
        def convert(self, x: np.ndarray, start: int) -> np.ndarray:
            return x[:100]

    assert len(_stream(BlockConverter(Short(), 16_000), noise(4_000, 1), 480)) == 4_000


def test_soxr_there_and_back_keeps_positions() -> None:
    """What the scheme rests on: an impulse stays where it was."""
    x = np.zeros((4_800, 1), np.float32)
    x[2_000] = 1
    back = resampled(resampled(x, 48_000, 24_000), 24_000, 48_000)
    assert int(np.argmax(back)) == 2_000
