"""Silero VAD as a batched step and as a stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline.dsp.leveller import Leveller
from audio_pipeline.errors import WeightsError
from audio_pipeline.models.hearing import silero
from audio_pipeline.models.hearing.silero import RATE, WINDOW, Silero
from audio_pipeline.models.weights import store
from tests.dsp.chunking import SIZES, chunks
from tests.shared import shared


@pytest.fixture(scope="module")
def model() -> Silero:
    if store.locate("silero-vad").folder is None:
        pytest.skip("the weights of Silero VAD are not here: audio-pipeline models fetch silero-vad")
    return silero.load()


def voice() -> np.ndarray:
    """Three seconds that start with a second of silence."""
    folder = shared("speech")
    x, rate = soundfile.read(sorted(folder.glob("*/*.flac"))[0], dtype="float32")
    assert rate == RATE
    return np.concatenate([np.zeros(RATE, np.float32), x[RATE : 3 * RATE]])


@pytest.mark.parametrize("size", SIZES[1:])
def test_streamed_is_one_shot(model: Silero, size: int) -> None:
    x = np.random.default_rng(0).normal(0, 0.1, 5_000).astype(np.float32)
    whole = list(model.stream().process(x))
    assert [position for position, _ in whole] == list(range(0, 5_000 - WINDOW + 1, WINDOW))
    stream = model.stream()
    assert [found for _, block in chunks(x[:, None], size) for found in stream.process(block[:, 0])] == whole


def test_speech_is_found_and_silence_is_not(model: Silero) -> None:
    found = list(model.stream().process(voice()))
    quiet = [p for position, p in found if position + WINDOW <= RATE]
    loud = [p for position, p in found if position >= RATE]
    assert max(quiet) < 0.1
    assert np.mean(np.array(loud) > 0.5) > 0.5


def test_streams_in_a_batch_do_not_touch_each_other(model: Silero) -> None:
    x = voice()
    alone = [p for _, p in model.stream().process(x)]
    noise = np.random.default_rng(0).normal(0, 0.3, len(x)).astype(np.float32)
    states = [model.initial_state(), model.initial_state()]
    together, level = [], Leveller(WINDOW / RATE)
    for at in range(0, len(x) - WINDOW + 1, WINDOW):
        window = slice(at, at + WINDOW)
        probabilities, states = model.step(np.stack([noise[window], level(x[window])]), states)
        together.append(probabilities[1])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_called_stream_is_the_same_stream(model: Silero) -> None:
    x = voice()[: 20 * WINDOW]
    stream = model.stream()
    called = [stream(window) for window in x.reshape(-1, WINDOW)]
    assert called == [p for _, p in model.stream().process(x)]
    stream.reset()
    assert [stream(window) for window in x.reshape(-1, WINDOW)] == called


def test_windows_of_another_size_are_refused(model: Silero) -> None:
    with pytest.raises(ValueError, match=r"\(1, 512\), got \(1, 480\)"):
        model.step(np.zeros((1, 480), np.float32), [model.initial_state()])


def test_a_damaged_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "silero.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(WeightsError, match=r"silero.onnx is not a model that ONNX Runtime reads"):
        Silero(path)
