from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from audio_pipeline.dsp.drift_control import DriftControl, Span
from audio_pipeline.dsp.drift_reader import DriftReader
from audio_pipeline.dsp.sinc import HALF
from audio_pipeline.errors import ConfigError
from tests.dsp.chunking import SIZES, chunks, noise
from tests.dsp.drift_buffer import DriftBuffer

RATE, BLOCK = 48_000, 480
START_NS = 5_000_000_000


class Cards:
    """A microphone that is `ppm` faster than the loudspeaker, whose clock is the host's."""

    def __init__(self, buffer: DriftBuffer, ppm: float, *, hz: float = 997.0, jitter_ms: float = 0.0) -> None:
        self.buffer, self.speed, self._hz = buffer, 1 + ppm * 1e-6, hz
        self._random = np.random.default_rng(3)
        self._jitter_ns = jitter_ms * 1e6
        self.pushed = self.pulled = 0
        self.spans: list[Span] = []
        advance = buffer.control.advance

        def noted(samples: int, at: int, frac: float = 0.0, *, bend: float = 0.0) -> Span:
            self.spans.append(advance(samples, at, frac, bend=bend))
            return self.spans[-1]

        buffer.control.advance = noted  # type: ignore[method-assign]

    def sound(self, n: int) -> np.ndarray:
        t = np.arange(self.pushed, self.pushed + n) / RATE
        return (0.5 * np.sin(2 * np.pi * self._hz * t)).astype(np.float32)[:, None]

    def run(self, seconds: float, lose: Callable[[int], bool] = lambda block: False) -> np.ndarray:
        out, end = [], self.pulled + round(seconds * RATE)
        while self.pulled < end:
            self.pulled += BLOCK
            while (self.pushed + BLOCK) / self.speed <= self.pulled:
                x, late = self.sound(BLOCK), abs(self._random.normal()) * self._jitter_ns
                stamp = START_NS + round((self.pushed + BLOCK) / self.speed / RATE * 1e9 + late)
                if lose(self.pushed // BLOCK):
                    self.buffer.skip(BLOCK)
                else:
                    self.buffer.push(x, stamp)
                self.pushed += BLOCK
            out.append(self.buffer.pull(BLOCK, START_NS + round(self.pulled / RATE * 1e9)))
        return np.concatenate(out)[:, 0]


def places(spans: list[Span]) -> np.ndarray:
    return np.concatenate([span.at + span.offsets() for span in spans])


def largest_step(y: np.ndarray) -> float:
    return float(np.abs(np.diff(y)).max())


@pytest.mark.parametrize("ppm", [200.0, -200.0, 0.0])
def test_the_difference_of_two_clocks_is_found_and_made_up_for(ppm: float) -> None:
    cards = Cards(DriftBuffer(1, RATE, 1440), ppm)
    cards.run(60)
    assert cards.buffer.ppm == pytest.approx(ppm, abs=0.1)
    assert abs(cards.buffer.error_samples) < 0.1
    assert 1440 - BLOCK - 1 <= cards.buffer.fill_samples <= 1440 + 1
    assert cards.buffer.concealed_samples == cards.buffer.underruns == 0


def test_what_comes_out_is_the_input_at_the_places_that_the_ratio_says() -> None:
    """Nothing lost, nothing doubled: the output is the tone itself at the integral of the ratio, to -100 dB."""
    cards = Cards(DriftBuffer(1, RATE, 1440), 200.0, jitter_ms=0.1)
    y = cards.run(20)
    at = places(cards.spans)
    steps = np.diff(at)
    assert steps.min() > 0.997 and steps.max() < 1.003, "the map only goes forward, about a sample at a time"
    settled = np.flatnonzero(at > 1440)[0] + RATE
    ideal = 0.5 * np.sin(2 * np.pi * 997 * at / RATE)
    error = (y[-len(at) :] - ideal)[settled:]
    assert 10 * np.log10(np.mean(error**2) / 0.125) < -100


def test_jittery_stamps_are_smoothed() -> None:
    """Stamps that are up to some milliseconds late move the place by well under a frame and a cent."""
    cards = Cards(DriftBuffer(1, RATE, 1440), -100.0, jitter_ms=2.0)
    cards.run(30)
    first = len(cards.spans)
    cards.run(60)
    late = cards.spans[first:]
    assert max(abs(span.ratio - (1 - 100e-6)) for span in late) < 300e-6
    assert cards.buffer.concealed_samples == 0


def test_a_hole_is_faded_and_counted_and_moves_nothing() -> None:
    cards = Cards(DriftBuffer(1, RATE, 1440), 50.0, hz=200.0)
    y = cards.run(4, lose=lambda block: 200 <= block < 205)
    assert cards.buffer.underruns == 1
    assert 5 * BLOCK <= cards.buffer.concealed_samples <= 6 * BLOCK + 2 * HALF
    assert largest_step(y[RATE:]) < 1.5 * 0.5 * 2 * np.pi * 200 / RATE, "no click"
    at = places(cards.spans)[-BLOCK:]
    np.testing.assert_allclose(y[-BLOCK:], 0.5 * np.sin(2 * np.pi * 200 * at / RATE), atol=1e-4)


def test_a_small_change_of_the_target_is_reached_by_speed() -> None:
    cards = Cards(DriftBuffer(1, RATE, 1440), 0.0)
    cards.run(20)
    cards.buffer.target_samples = 1440 + 960
    cards.run(60)
    assert abs(cards.buffer.error_samples) < 1
    assert cards.buffer.ppm == pytest.approx(0.0, abs=1), "what is done on purpose is no drift"
    assert np.diff(places(cards.spans)).min() > 0.998, "never slower than max_ppm"
    assert cards.buffer.concealed_samples == 0


def test_a_large_change_of_the_target_is_a_crossfade() -> None:
    cards = Cards(DriftBuffer(1, RATE, 4800 + 1440), 0.0, hz=200.0)
    cards.run(10)
    cards.buffer.target_samples = 1440
    y = cards.run(1)
    assert abs(cards.buffer.error_samples) < 1
    assert largest_step(y) < 2 * 0.5 * 2 * np.pi * 200 / RATE
    assert cards.buffer.underruns == 0


def test_a_buffer_that_runs_dry_fades_and_comes_back() -> None:
    cards = Cards(DriftBuffer(1, RATE, 10), 100.0, hz=200.0)  # less than the filter's half: it cannot do
    y = cards.run(2)
    missing = cards.buffer.concealed_samples
    assert cards.buffer.underruns > 0 and missing > 1000
    cards.buffer.target_samples = 4000
    y = np.concatenate([y, cards.run(2)])
    assert cards.buffer.concealed_samples < missing + 4000 + 2 * BLOCK, "what the wait takes, and then nothing"
    assert largest_step(y) < 2 * 0.5 * 2 * np.pi * 200 / RATE
    assert np.abs(y[-RATE:]).max() == pytest.approx(0.5, abs=0.01)


def test_silence_before_the_first_sound() -> None:
    buffer = DriftBuffer(2, RATE, 480)
    assert buffer.pull(100, START_NS).shape == (100, 2) and not buffer.pull(100, START_NS).any()
    assert buffer.pull(0, START_NS).shape == (0, 2)
    buffer.push(np.zeros((0, 2), np.float32), START_NS)
    assert buffer.fill_samples == 0 and buffer.underruns == 0


@pytest.mark.parametrize("size", SIZES)
def test_streamed_is_one_shot(size: int) -> None:
    """However the input was cut, the same spans give the same bits."""
    x = noise(6000)
    wanted = [Span(k * 500 + 40, 0.25, 500, 1.0, 1.0) for k in range(10)]
    whole = DriftReader(2, RATE, RATE)
    whole.write(0, x)
    expected = np.concatenate([whole.read(span) for span in wanted])
    reader, got, spans = DriftReader(2, RATE, RATE), [], list(wanted)
    for position, block in chunks(x, size):
        reader.write(position, block)
        while spans and reader.available(spans[0]):
            got.append(reader.read(spans.pop(0)))
    np.testing.assert_array_equal(np.concatenate(got), expected)
    assert not spans and reader.concealed_samples == 0


def test_half_the_filter_is_all_the_delay() -> None:
    """A span can be read as soon as 32 samples behind its last place are there, and not before."""
    reader, span = DriftReader(1, RATE, RATE), Span(100, 0.0, 100, 1.0, 1.0)
    reader.write(0, noise(199 + HALF, 1))
    assert not reader.available(span)
    reader.write(199 + HALF, noise(1, 1))
    assert reader.available(span)


def test_days_cost_no_precision() -> None:
    control = DriftControl(RATE)
    control.start(10**12, 0.5)
    for _ in range(1000):
        span = control.advance(BLOCK, control.at + BLOCK, control.frac)
    assert (control.at, control.frac) == (10**12 + 1000 * BLOCK, 0.5)
    assert span.end == (control.at, control.frac)


def test_refuses_what_cannot_work() -> None:
    with pytest.raises(ConfigError, match="at most 20000 ppm"):
        DriftControl(RATE, max_ppm=30_000)
