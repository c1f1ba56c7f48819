"""One channel of what is there: opposite sides do not vanish, and a change of sides is no click."""

from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.mono import LEFT, MEAN, RIGHT, Array, Mono, mono
from tests.dsp.chunking import SIZES, chunks, noise, tone

RATE = 16_000


def db(x: Array) -> float:
    return float(10 * np.log10(np.mean(np.square(x, dtype=np.float64)) + 1e-30))


def sides(left: Array, right: Array) -> Array:
    return np.concatenate([left, right], axis=1)


def opposite(seconds: float = 1.0, seed: int = 0) -> Array:
    x = noise(round(seconds * RATE), 1, seed)
    return sides(x, -x)


def test_one_channel_and_equal_sides_are_as_they_were() -> None:
    x = noise(RATE, 1)
    assert mono(x, RATE)[0] is x
    y, stream = mono(sides(x, x), RATE)
    assert np.array_equal(y, x) and stream.choice == MEAN


def test_opposite_sides_do_not_vanish() -> None:
    """After 20 ms in which they are measured, and a fade of 20 ms: the left side to the bit."""
    x = opposite()
    y, stream = mono(x, RATE)
    assert np.array_equal(y[640:], x[640:, :1])
    assert stream.choice == LEFT and stream.loss_db > 100 and stream.description == "the left side"


def test_the_louder_side_is_taken() -> None:
    x = opposite() * np.array([0.7, 1.0], np.float32)
    y, stream = mono(x, RATE)
    assert stream.choice == RIGHT and np.array_equal(y[640:], x[640:, 1:])


@pytest.mark.parametrize("left", [0.0, 0.5, 1.0])
def test_one_side_and_two_sounds_are_no_loss(left: float) -> None:
    """The mean of a side and silence is 6 dB down, of two sounds 3 dB: no reason to leave a side out."""
    x = sides(noise(RATE, 1) * np.float32(left), noise(RATE, 1, seed=1))
    y, stream = mono(x, RATE)
    assert stream.choice == MEAN and np.allclose(y, x.mean(axis=1, keepdims=True), atol=1e-7)


def test_noise_in_a_pause_changes_nothing() -> None:
    """Opposite speech over noise that differs between the sides: the side stays through a pause of 10 s."""
    floor = noise(12 * RATE, 2, seed=3) * np.float32(0.01)
    floor[:RATE] += opposite()
    floor[-RATE:] += opposite(seed=1)
    y, stream = mono(floor, RATE)
    side = stream.choice - LEFT
    assert stream.choice != MEAN and np.array_equal(y[-RATE:], floor[-RATE:, side : side + 1])


def test_sides_that_carry_the_same_again_are_averaged_again() -> None:
    x = noise(4 * RATE, 1, seed=2)
    y, stream = mono(np.concatenate([opposite(), sides(x, x)]), RATE)
    assert stream.choice == MEAN and np.array_equal(y[-RATE:], x[-RATE:])


def test_a_change_is_no_click() -> None:
    """A tone of 200 Hz whose right side turns over: no step is steeper than those of the tone and a fade of 20 ms."""
    left = tone(2 * RATE, 200, RATE, 1, 0.5)
    turned = np.where(np.arange(len(left)) < RATE, 1, -1)[:, None].astype(np.float32)
    y, stream = mono(sides(left, left * turned), RATE)
    steps = np.abs(np.diff(y[:, 0]))
    steps[RATE - 1] = 0  # there the input itself jumps
    assert stream.choice == LEFT
    assert steps.max() < 0.5 * (2 * np.pi * 200 / RATE + 1 / 320) * 1.01


@pytest.mark.parametrize("size", SIZES)
def test_streamed_is_one_shot(size: int) -> None:
    x = np.concatenate([opposite(0.2), noise(RATE // 5), opposite(0.1, 1)])[: 3_000 if size == 1 else None]
    stream = Mono(RATE)
    y = np.concatenate([stream.process(part) for _, part in chunks(x, size)])
    assert np.array_equal(y, mono(x, RATE)[0])


def test_surround_is_mixed_first() -> None:
    x = noise(RATE, 6)
    y, stream = mono(x, RATE)
    assert stream.choice == MEAN and y.shape == (RATE, 1) and db(y) > -30


def test_silence_and_nothing() -> None:
    assert mono(np.zeros((0, 2), np.float32), RATE)[0].shape == (0, 1)
    assert not mono(np.zeros((RATE, 2), np.float32), RATE)[0].any()
