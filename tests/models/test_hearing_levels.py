"""No verdict follows the level: the same speech from -60 dBFS to full scale, at one SNR; noise alone is no speech."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from audio_pipeline.models.hearing import ge2e, silero, speech
from audio_pipeline.models.hearing.ge2e_stream import VoiceTracker
from audio_pipeline.models.voices.inspection import inspect
from audio_pipeline.models.voices.record import Sample
from audio_pipeline.models.weights import store
from audio_pipeline.nodes.vad import NODE, Settings
from tests.nodes.fake import FakeContext, run
from tests.shared import shared

RATE = 16_000
PEAKS_DB = (0.0, -20.0, -40.0, -60.0)
RNG = np.random.default_rng(0)
Array = np.ndarray


def needs(name: str) -> None:
    if store.locate(name).folder is None:
        pytest.skip(f"the weights are not here (audio-pipeline models fetch {name})")


@pytest.fixture(scope="module")
def spoken() -> Array:
    """Six seconds with a second of room noise around them, 35 dB below; its peak is at full scale."""
    x, rate = soundfile.read(sorted(shared("speech/1998").glob("*.flac"))[0], dtype="float32")
    assert rate == RATE
    x = np.pad(x[: 6 * RATE], RATE)
    x += RNG.standard_normal(len(x)).astype(np.float32) * np.std(x) * np.float32(10 ** (-35 / 20))
    return np.asarray(x / np.abs(x).max())


def at(x: Array, peak_db: float) -> Array:
    return (x * np.float32(10 ** (peak_db / 20))).astype(np.float32)


def segments(x: Array, engine: str) -> list[tuple[int, int]]:
    ctx = FakeContext(RATE)
    run(NODE(Settings(engine=engine)), ctx, x.reshape(len(x), -1), 160)
    return [(event.data["start"], event.data["end"]) for event in ctx.events if event.kind == "segment"]


@pytest.mark.parametrize("engine", ["silero", "webrtc"])
def test_utterances_have_the_same_edges_at_every_level(spoken: Array, engine: str) -> None:
    needs("silero-vad")
    found = [segments(at(spoken, peak), engine) for peak in PEAKS_DB]
    assert found[0] and all(edges == found[0] for edges in found)


@pytest.mark.parametrize("engine", ["silero", "webrtc"])
@pytest.mark.parametrize("level_db", [-90.0, -60.0, -20.0])
def test_noise_and_hum_are_no_speech_at_any_level(engine: str, level_db: float) -> None:
    needs("silero-vad")
    t = np.arange(4 * RATE) / RATE
    hum = np.sin(2 * np.pi * 50 * t) + 0.5 * np.sin(2 * np.pi * 150 * t)
    for x in (RNG.standard_normal(len(t)), hum, np.zeros(len(t))):
        assert segments(at(np.asarray(x, np.float32), level_db), engine) == []


@pytest.mark.parametrize("engine", ["silero", "webrtc"])
def test_opposite_sides_are_heard(spoken: Array, engine: str) -> None:
    """Within the 40 ms in which the sides are measured and faded to, and the windows of the detector."""
    needs("silero-vad")
    both = np.stack([spoken, -spoken], axis=1)
    alone, found = segments(spoken, engine), segments(both, engine)
    assert len(found) == len(alone)
    assert np.abs(np.array(found) - np.array(alone)).max() <= 0.1 * RATE


def test_silero_as_a_stream_follows_no_level(spoken: Array) -> None:
    needs("silero-vad")
    model = silero.load()
    found = [[p for _, p in model.stream().process(at(spoken, peak))] for peak in PEAKS_DB]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-3)


def test_looks_at_a_voice_follow_no_level(spoken: Array) -> None:
    needs("ge2e")
    encoder = ge2e.load()
    found = [VoiceTracker(encoder).push(at(spoken, peak)) for peak in PEAKS_DB]
    for comparisons in found[1:]:
        assert [inspected.end for inspected in comparisons] == [inspected.end for inspected in found[0]] != []
        assert ge2e.similarity(comparisons[-1].mean, found[0][-1].mean) > 0.9999


def test_the_windows_of_speech_follow_no_level(spoken: Array) -> None:
    found = [len(speech.prepare(at(spoken, peak)[:, None], RATE)) for peak in PEAKS_DB]
    assert found[0] > RATE and len(set(found)) == 1


def test_a_sample_is_judged_alike_at_every_level(spoken: Array) -> None:
    """All of its measures; the separator stands in with what it makes of bare speech."""
    needs("ge2e")
    encoder = ge2e.load()

    def inspected(peak_db: float) -> Sample:
        x = at(spoken, peak_db)
        return inspect(x[:, None], RATE, "d", encoder=encoder, separate=lambda y, rate: (y, 0.01 * y)).sample

    first = inspected(0.0)
    for peak in PEAKS_DB[1:]:
        other = inspected(peak)
        assert other.speech_s == first.speech_s and other.second_voice == first.second_voice
        assert other.snr_db == pytest.approx(first.snr_db, abs=0.01)
        assert other.bandwidth_hz == first.bandwidth_hz


def test_a_sample_whose_sides_cancel_is_judged_by_one_side(spoken: Array) -> None:
    needs("ge2e")
    encoder = ge2e.load()
    both = np.stack([spoken, -spoken], axis=1)
    alone, found = (
        inspect(x, RATE, "d", encoder=encoder, separate=lambda y, rate: (y, 0.01 * y)).sample
        for x in (spoken[:, None], both)
    )
    assert found.speech_s == pytest.approx(alone.speech_s, abs=0.1)


@pytest.mark.slow
def test_a_quiet_recording_is_no_music(spoken: Array) -> None:
    """Speech with its peak at -50 dBFS and 23 dB over its noise, through the separator itself."""
    needs("ge2e")
    needs("spleeter-2stems")
    x, rate = soundfile.read(shared("cases/quiet_speech.flac"), dtype="float32", always_2d=True)
    found = [inspect(x[: 6 * rate] * gain, rate, "d").sample for gain in np.float32([1, 100])]
    assert found[0].music_db is not None and found[1].music_db is not None
    assert found[0].music_db == pytest.approx(found[1].music_db, abs=0.1) and found[0].music_db < -12
