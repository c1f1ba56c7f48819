"""What a recording is good for: alone, in pairs, under music, too short, too loud, silent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from audio_pipeline.errors import MediaError, WeightsError
from audio_pipeline.models.hearing import ge2e
from audio_pipeline.models.voices import inspection
from audio_pipeline.models.voices.advice import findings, refusals
from audio_pipeline.models.voices.inspection import Inspected, inspect
from audio_pipeline.models.voices.record import Sample
from audio_pipeline.models.weights import store
from tests.shared import shared

RATE = 16_000
GOOD = Sample("0", 10.0, 8.0, RATE, 30.0, 0.0, 8_000.0, None, False, False, False)
Array = inspection.Array


@pytest.fixture(scope="module")
def encoder() -> ge2e.SpeakerEncoder:
    if store.locate("ge2e").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch ge2e)")
    return ge2e.load()


def clip(reader: str, seconds: float = 8.0) -> Array:
    x, rate = soundfile.read(sorted(shared(f"speech/{reader}").glob("*.flac"))[0], dtype="float32")
    assert rate == RATE
    return x[: round(seconds * rate)]


def no_music(x: Array, rate: int) -> tuple[Array, Array]:
    return x, 0.01 * x


def looked_at(x: Array, encoder: ge2e.SpeakerEncoder, separate: inspection.Separate = no_music) -> Inspected:
    return inspect(x[:, None], RATE, "digest", encoder=encoder, separate=separate)


def report(sample: Sample) -> str:
    return " | ".join(f"{found.level} {found.what}" for found in findings(sample) if found.advice)


@pytest.mark.parametrize("reader", ["1688", "1998", "3005"])
def test_somebody_who_reads_is_one_voice_and_long_enough(encoder: ge2e.SpeakerEncoder, reader: str) -> None:
    found = looked_at(clip(reader), encoder)
    assert refusals(found.sample) == []
    assert found.sample.speech_s > 5 and found.sample.seconds == 8.0 and found.sample.clipped_ms == 0
    assert found.sample.bandwidth_hz > 7_000 and 15 < found.sample.snr_db < 40
    assert np.array_equal(found.x, clip(reader))


def test_of_two_people_one_after_another_the_second_is_noticed(encoder: ge2e.SpeakerEncoder) -> None:
    found = looked_at(np.concatenate([clip("1688", 5), clip("1998", 5)]), encoder)
    (refusal,) = refusals(found.sample)
    assert refusal.what == "voices" and refusal.forcible


def test_half_a_second_is_refused(encoder: ge2e.SpeakerEncoder) -> None:
    (refusal,) = refusals(looked_at(clip("1688")[RATE : RATE + RATE // 2], encoder).sample)
    assert refusal.what == "length" and "Expected 1.6 s of speech or more" in refusal.advice


@pytest.mark.parametrize("samples", [0, 1, RATE])
def test_silence_is_one_sentence(encoder: ge2e.SpeakerEncoder, samples: int) -> None:
    with pytest.raises(MediaError, match="the sample is silent"):
        looked_at(np.zeros(samples, np.float32), encoder)


def test_what_is_no_number_is_one_sentence(encoder: ge2e.SpeakerEncoder) -> None:
    with pytest.raises(MediaError, match="no sound"):
        looked_at(np.full(RATE, np.nan, np.float32), encoder)


def test_a_clip_at_the_end_of_the_scale_is_said(encoder: ge2e.SpeakerEncoder) -> None:
    found = looked_at(np.clip(clip("1688") * 10, -1, 1), encoder)
    assert "poor clipping" in report(found.sample) and refusals(found.sample) == []


def test_where_music_is_loud_the_voice_alone_is_used(encoder: ge2e.SpeakerEncoder) -> None:
    voice = clip("1688")
    music = RNG.standard_normal(len(voice)).astype(np.float32) * np.std(voice) * 0.6
    found = looked_at(voice + music, encoder, lambda x, rate: (voice, music))
    assert np.array_equal(found.x, voice) and found.sample.separated
    assert found.sample.music_db == pytest.approx(20 * np.log10(0.6), abs=0.1)
    assert "fair music" in report(found.sample) and refusals(found.sample) == []


RNG = np.random.default_rng(0)


def test_where_nothing_but_music_is_left_it_is_refused(encoder: ge2e.SpeakerEncoder) -> None:
    music = RNG.standard_normal(8 * RATE).astype(np.float32) * 0.1
    found = looked_at(music, encoder, lambda x, rate: (x * 1e-3, x))
    assert "music" in [refusal.what for refusal in refusals(found.sample)]


def test_quiet_pauses_need_no_separator(encoder: ge2e.SpeakerEncoder) -> None:
    def never(x: Array, rate: int) -> tuple[Array, Array]:
        raise AssertionError("asked")

    assert looked_at(clip("3005"), encoder, never).sample.music_db is None


def test_without_a_separator_nobody_looked(encoder: ge2e.SpeakerEncoder) -> None:
    def missing(x: Array, rate: int) -> tuple[Array, Array]:
        raise WeightsError("not here")

    noise = RNG.standard_normal(8 * RATE).astype(np.float32) * 0.02
    sample = looked_at(clip("1688") + noise, encoder, missing).sample
    assert sample.music_db is None and not sample.separated
    assert any("not checked" in found.measured for found in findings(sample))


def test_what_a_machine_said_is_known_by_its_mark() -> None:
    if store.locate("perth").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch perth)")
    from audio_pipeline.models.hearing import perth

    x = clip("1688", 4)
    assert not inspection.is_made(x, RATE)
    assert inspection.is_made(perth.marked(perth.load(), x[:, None], RATE)[:, 0], RATE)


@pytest.mark.slow
def test_a_song_and_a_band(encoder: ge2e.SpeakerEncoder) -> None:
    if store.locate("spleeter-2stems").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch spleeter-2stems)")
    mixture, rate = soundfile.read(shared("singing/26/mixture.flac"), dtype="float32")
    voice, _ = soundfile.read(shared("singing/26/voice.flac"), dtype="float32")
    song = inspect(mixture[:, None], rate, "d", encoder=encoder)
    assert song.sample.separated and refusals(song.sample) == []
    band = inspect((mixture - voice)[:, None], rate, "d", encoder=encoder)
    assert "music" in [refusal.what for refusal in refusals(band.sample)]
    with_voice = np.corrcoef(song.x, voice)[0, 1]
    assert with_voice > np.corrcoef(mixture, voice)[0, 1] + 0.1, "the voice was brought out"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ""),
        ({"snr_db": 5.0, "music_db": -20.0}, "poor noise"),
        ({"snr_db": 15.0, "music_db": -20.0}, "fair noise"),
        ({"clipped_ms": 20.0}, "poor clipping"),
        ({"bandwidth_hz": 3_800.0}, "poor bandwidth"),
        ({"bandwidth_hz": 5_500.0}, "fair bandwidth"),
        ({"speech_s": 4.0}, "fair length"),
        ({"speech_s": 1.0}, "refused length"),
        ({"second_voice": True}, "refused voices"),
        ({"second_voice": True, "separated": True, "music_db": 0.0}, "fair music | fair voices"),
        ({"made": True}, "refused origin"),
        ({"music_db": 30.0, "separated": True}, "refused music"),
    ],
)
def test_every_lack_has_its_sentence(change: dict[str, object], expected: str) -> None:
    assert report(replace(GOOD, **change)) == expected  # type: ignore[arg-type]
