"""Who speaks, as a stream."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from audio_pipeline.dsp.leveller import levelled
from audio_pipeline.models.hearing import ge2e, speech
from audio_pipeline.models.hearing.ge2e import RATE, Array, SpeakerEncoder, similarity
from audio_pipeline.models.hearing.ge2e_stream import LEVEL_DB, Comparison, VoiceTracker
from audio_pipeline.models.weights import store
from tests.dsp.chunking import SIZES, chunks
from tests.shared import shared

READERS = ("1688", "1998", "3005")


@pytest.fixture(scope="module")
def encoder() -> SpeakerEncoder:
    if store.locate("ge2e").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch ge2e)")
    return ge2e.load()


def reader(name: str, clips: int = 2) -> Array:
    """Speech (samples,) of one reader."""
    paths = sorted(shared(f"speech/{name}").glob("*.flac"))[:clips]
    return np.concatenate([soundfile.read(path, dtype="float32")[0] for path in paths])


def compared(encoder: SpeakerEncoder, x: Array, size: int = 480) -> list[Comparison]:
    tracker = VoiceTracker(encoder)
    return [each for _, block in chunks(x[:, None], size) for each in tracker.push(block[:, 0])]


@pytest.mark.parametrize("size", SIZES)
def test_streamed_is_one_shot(encoder: SpeakerEncoder, size: int) -> None:
    x = reader("1688", 1)[: 4 * RATE]
    found, whole = compared(encoder, x, size), compared(encoder, x, 1 << 30)
    assert [each.end for each in found] == [each.end for each in whole]
    for a, b in zip(found, whole, strict=True):
        assert np.array_equal(a.mean, b.mean)


@pytest.mark.parametrize("name", READERS)
def test_the_running_mean_becomes_the_clips_embedding(encoder: SpeakerEncoder, name: str) -> None:
    x = reader(name)
    found = compared(encoder, x)
    assert not any(each.changed for each in found)
    whole = encoder.utterance(levelled(speech.prepare(x[:, None], RATE), LEVEL_DB))
    assert similarity(found[-1].mean, whole) > 0.985  # the detector gets each at its own gain: by window, or whole


def test_another_voice_is_noticed_within_four_seconds_of_its_speech(encoder: SpeakerEncoder) -> None:
    """1.6 s until a look holds the new voice alone, a second look to be certain, and pauses between."""
    first, second = reader("1688", 1), reader("1998", 1)
    changes = [each.end / RATE for each in compared(encoder, np.concatenate([first, second])) if each.changed]
    assert len(changes) == 1
    assert 0 < changes[0] - len(first) / RATE < 5
    mean = compared(encoder, np.concatenate([first, second]))[-1].mean
    alone = encoder.utterance(levelled(speech.prepare(second[:, None], RATE), LEVEL_DB))
    assert similarity(mean, alone) > 0.97


@pytest.mark.parametrize("noise_db", [None, -40.0])
def test_silence_and_faint_noise_say_nothing(encoder: SpeakerEncoder, noise_db: float | None) -> None:
    x = np.zeros(5 * RATE, np.float32)
    if noise_db is not None:
        x = (np.random.default_rng(0).standard_normal(len(x)) * 10 ** (noise_db / 20)).astype(np.float32)
    assert compared(encoder, x) == []
