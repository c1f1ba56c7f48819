"""One take is known again through a codec, a cut, noise and another level; another take of the reader is not."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline.dsp.same_take import correlation, likest, loudness, same_take
from tests.shared import shared

RATE = 16_000
Samples = np.ndarray


def clips(reader: str) -> list[Samples]:
    paths: list[Path] = sorted(shared(f"speech/{reader}").glob("*.flac"))[:2]
    return [soundfile.read(path, dtype="float32")[0][: 10 * RATE] for path in paths]


def encoded(kind: str) -> Callable[[Samples], Samples]:
    def through(x: Samples) -> Samples:
        buffer = io.BytesIO()
        soundfile.write(buffer, x, RATE, format=kind)
        buffer.seek(0)
        return soundfile.read(buffer, dtype="float32")[0]

    return through


def noisy(x: Samples) -> Samples:
    return x + np.random.default_rng(0).standard_normal(len(x)).astype(np.float32) * float(np.std(x)) * 10 ** (-10 / 20)


def faster(x: Samples) -> Samples:
    """By 2 %, pitch and all: read at other places."""
    return np.interp(np.arange(0, len(x) - 1, 1.02), np.arange(len(x)), x).astype(np.float32)


@pytest.mark.parametrize(
    "change",
    [
        encoded("MP3"),
        encoded("OGG"),
        noisy,
        faster,
        lambda x: -0.1 * x,
        lambda x: x[3 * RATE + 123 : 7 * RATE],
        lambda x: np.concatenate([np.zeros(RATE // 3, np.float32), x]),
        lambda x: np.concatenate([clips("1998")[0][: 3 * RATE], x[2 * RATE : 6 * RATE]]),
    ],
    ids=["mp3", "ogg", "noise at -10 dB", "2 % faster", "turned over and softer", "cut", "late", "hidden in another"],
)
@pytest.mark.parametrize("reader", ["3005", "1688"])
def test_a_take_is_known_again(reader: str, change: Callable[[Samples], Samples]) -> None:
    x = clips(reader)[0]
    assert same_take(x, RATE, change(x), RATE)


@pytest.mark.parametrize("reader", ["3005", "1688", "200", "3080"])
def test_another_take_of_one_reader_is_another(reader: str) -> None:
    first, second = clips(reader)
    assert not same_take(first, RATE, second, RATE)
    assert not same_take(second, RATE, first, RATE)


def test_noise_is_the_same_only_as_itself() -> None:
    a, b = np.random.default_rng(1).standard_normal((2, 5 * RATE)).astype(np.float32) * 0.1
    assert same_take(a, RATE, a, RATE) and not same_take(a, RATE, b, RATE)


def test_the_correlation_of_a_part_with_its_whole_is_one() -> None:
    x = np.random.default_rng(2).standard_normal(1000)
    assert correlation(x[300:400], 5 - 3 * x) == pytest.approx(1, abs=1e-9)  # Pearson's: of any line through it


@pytest.mark.parametrize("n", [0, 1, 10])
def test_nothing_and_silence_are_like_nothing(n: int) -> None:
    silent = np.zeros(n, np.float32)
    assert not same_take(silent, RATE, silent, RATE)
    assert likest(np.zeros(n), np.zeros(100), 10, 5) == 0


def test_loudness_of_a_level_is_that_level() -> None:
    assert loudness(np.full(95, -0.5)) == pytest.approx([0.5, 0.5])
