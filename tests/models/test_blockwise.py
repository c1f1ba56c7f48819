"""A model that only takes whole excerpts, as a stream."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_pipeline.errors import ConfigError
from audio_pipeline.models.speech.blockwise import Blockwise
from tests.dsp.chunking import SIZES, chunks, noise

Samples = NDArray[np.float32]
REACH = 90  # samples that the model below looks to either side
KERNEL = np.hanning(2 * REACH + 1)


def blur(x: Samples) -> dict[str, Samples]:
    """A filter that looks `REACH` samples into past and future, and takes an excerpt for the whole world."""
    if not len(x):
        return {"a": x}
    columns = [np.convolve(column, KERNEL, "full")[REACH : REACH + len(x)] for column in x.T]
    return {"a": np.stack(columns, axis=1).astype(np.float32)}


def streamed(x: Samples, size: int, block: int, context: int, fade: int) -> Samples:
    stream = Blockwise(block, context, fade)
    out: list[Samples] = []
    at = 0
    for _, piece in chunks(x, size):
        for excerpt in stream.push(piece):
            start, answers = stream.join(excerpt, blur(excerpt.sound))
            assert start == at
            out.append(answers["a"])
            at += len(answers["a"])
    for excerpt in stream.finish():
        start, answers = stream.join(excerpt, blur(excerpt.sound))
        assert start == at
        out.append(answers["a"])
    return np.concatenate(out) if out else x


@pytest.mark.parametrize("length", [1, 50, 299, 700, 1_000, 1_001, 5_000])
@pytest.mark.parametrize("size", SIZES)
def test_a_model_that_looks_no_further_than_the_context_is_as_one_shot(size: int, length: int) -> None:
    """Context 100, fade 20: 10 samples of the kept stretch may lie beyond the block, so 90 are in reach."""
    x = noise(length)
    assert streamed(x, size, 300, 100, 20) == pytest.approx(blur(x)["a"], abs=1e-5)  # convolution in another order


def test_block_0_is_the_whole_stream_at_once() -> None:
    x = noise(3_000)
    assert np.array_equal(streamed(x, 480, 0, 0, 0), blur(x)["a"])


def test_no_samples_no_excerpt() -> None:
    stream = Blockwise(300, 100, 20)
    assert stream.push(noise(0)) == [] and stream.finish() == []


def test_a_sample_leaves_within_the_stated_latency() -> None:
    stream = Blockwise(300, 100, 20)
    for now, (position, piece) in enumerate(chunks(noise(2_000), 1)):
        for excerpt in stream.push(piece):
            start, _ = stream.join(excerpt, blur(excerpt.sound))
            assert position + len(piece) - start <= stream.latency_samples, now


def test_different_estimates_are_joined_without_a_step() -> None:
    """Two answers that differ by 1 meet in a fade of 20 samples: no step is larger than a 20th."""
    stream = Blockwise(300, 100, 20)
    x, answer, out = np.zeros((2_000, 1), np.float32), 0.0, []
    for excerpt in [*stream.push(x), *stream.finish()]:
        out.append(stream.join(excerpt, {"a": excerpt.sound + answer})[1]["a"])
        answer = 1.0 - answer
    joined = np.concatenate(out)
    assert len(joined) == len(x)
    assert np.abs(np.diff(joined[:, 0])).max() <= 1 / 20 + 1e-6


def test_a_fade_beyond_the_context_is_refused() -> None:
    with pytest.raises(ConfigError, match="a fade of 300 samples does not fit a block of 400 with 100 of context"):
        Blockwise(400, 100, 300)
