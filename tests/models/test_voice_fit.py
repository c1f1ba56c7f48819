"""From a reference to a voice: what is measured, the instant fit, and what is said when it cannot be done."""

from __future__ import annotations

import builtins
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audio_pipeline.errors import ConfigError
from audio_pipeline.models.hearing import ge2e
from audio_pipeline.models.hearing.ge2e import RATE, SIZE, similarity, unit
from audio_pipeline.models.speech import kokoro
from audio_pipeline.models.voices import fit as voice_fit
from audio_pipeline.models.voices import quick
from audio_pipeline.models.voices.quick import FASTEST, FURTHEST, SLOWEST, manner_of, predict, seen, timbre_of, trained
from audio_pipeline.models.voices.reference import Array, analyse, levelled
from audio_pipeline.models.voices.space import HALF, principal, steady
from audio_pipeline.models.voices.texts import CHECK, REPORT, SEARCH
from tests.models.voices import reference, start
from tests.shared import shared

FEW = ["jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo"]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the voices that come with the weights."""
    monkeypatch.setattr(kokoro, "voice_names", lambda: list(FEW))


class Ear:
    """Stands in for the encoder: hears the loudest of 256 frequencies."""

    def utterance(self, x: Array) -> Array:
        spectrum = np.abs(np.fft.rfft(x, 2 * SIZE))[:SIZE]
        return unit(spectrum.astype(np.float32))


class Mouth:
    """Stands in for Kokoro: a buzz whose pitch is the style's first number, for a second a dozen phonemes."""

    def __init__(self) -> None:
        self.syntheses: list[tuple[str, float]] = []

    def synthesise(self, phonemes: str, style: Array, speed: float = 1.0) -> Array:
        self.syntheses.append((phonemes, speed))
        t = np.arange(len(phonemes) * 2_000) / kokoro.RATE
        return (0.1 * np.sign(np.sin(2 * np.pi * (150 + 100 * style[0]) * t))).astype(np.float32)


def test_no_sentence_is_in_two_sets() -> None:
    assert not set(SEARCH) & set(CHECK)
    assert not set(REPORT) & {*SEARCH, *CHECK}


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((RATE, 1), np.float32), "0.0 s of speech, expected 1.6 s or more"),
        (np.zeros((0, 1), np.float32), "0.0 s of speech, expected 1.6 s or more"),
        (np.zeros(RATE, np.float32), r"shape \(16000,\), expected finite sound"),
        (np.full((RATE, 1), np.nan, np.float32), "expected finite sound"),
    ],
)
def test_what_is_no_reference_is_named(x: Array, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        analyse(x, RATE, Ear())  # type: ignore[arg-type]


def test_a_reader_is_measured_whatever_rate_channels_and_level() -> None:
    """A gain of -20 dB, another rate and a second channel change nothing but the converter's last per cent."""
    import soundfile

    from audio_pipeline.dsp.resample import resampled

    x, rate = soundfile.read(sorted(shared("speech/3005").glob("*.flac"))[0], dtype="float32", always_2d=True)
    ear: Any = Ear()
    found = analyse(x, rate, ear)
    other = analyse(np.repeat(resampled(x, rate, 48_000), 2, axis=1) * 0.1, 48_000, ear)
    assert found.pitch_hz == pytest.approx(110, rel=0.1)  # librosa's pYIN: 104
    assert other.pitch_hz == pytest.approx(found.pitch_hz, rel=0.02)
    assert other.seconds == pytest.approx(found.seconds, rel=0.05)
    assert 3 < found.syllables_a_second < 7
    assert found.ceiling is not None
    assert similarity(found.embedding, other.embedding) > 0.98


def test_levelled_speech_is_at_26_db_below_full_scale_and_silence_stays() -> None:
    x = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    assert 20 * np.log10(np.sqrt(np.mean(levelled(x) ** 2))) == pytest.approx(-26, abs=0.01)
    assert not levelled(np.zeros(10, np.float32)).any()


def test_axes_span_the_voices_they_were_made_of() -> None:
    halves = np.random.default_rng(0).standard_normal((6, HALF)).astype(np.float32)
    axes = principal(halves, 5)
    assert axes.style(axes.coordinates(halves)) == pytest.approx(halves, abs=1e-5)
    assert axes.coordinates(halves).std(axis=0, ddof=1) == pytest.approx(np.ones(5), abs=1e-4)


def test_a_pack_of_one_row_is_its_own_steady_style() -> None:
    pack = np.arange(256, dtype=np.float32)[None]
    assert np.array_equal(steady(pack), pack[0])
    assert np.array_equal(kokoro.row(pack, 300), pack[0])


@pytest.mark.usefixtures("few")
def test_the_instant_fit_needs_no_packs_and_is_the_same_twice() -> None:
    fit = voice_fit.quick(reference(), texts=())
    assert fit.pack.shape == (1, 256)
    assert fit.pack.dtype == np.float32
    assert fit.nearest in FEW
    assert (fit.method, fit.fitted_likeness, fit.nearest_likeness, fit.ceiling) == ("quick", None, None, 0.9)
    assert np.array_equal(fit.pack, voice_fit.quick(reference(), texts=()).pack)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("seed", range(4))
def test_the_fit_is_foretold_to_be_more_alike_than_the_mean_voice(seed: int) -> None:
    data, wanted = trained(), reference(seed)
    pitch = (12 * np.log2(np.array([wanted.pitch_hz])) - data.pitch[:1]) / data.pitch[1]

    def foretold(z: Array) -> float:
        return similarity((seen(z, pitch) @ data.ear[:-1] + data.ear[-1]).astype(np.float32), wanted.embedding)

    found = timbre_of(data, wanted)
    assert foretold(found) > foretold(np.zeros_like(found)) + 0.02
    assert np.sqrt(np.mean(found**2)) <= FURTHEST + 1e-3


@pytest.mark.parametrize("hz", [90.0, 130.0, 190.0, 240.0])
def test_the_prosody_has_the_references_pitch(hz: float) -> None:
    """Within a semitone by the regression that chose it; beyond 250 Hz no stock voice shows the way."""
    data = trained()
    found = np.append(manner_of(data, reference(pitch_hz=hz)), 1.0) @ data.forward
    assert found[0] == pytest.approx(12 * np.log2(hz), abs=1)


@pytest.mark.usefixtures("few")
def test_speed_follows_the_rate_within_bounds() -> None:
    slow, usual, fast = (predict(reference(syllables=value)).speed for value in (1.0, 4.5, 12.0))
    assert slow == SLOWEST
    assert fast == FASTEST
    assert SLOWEST < usual < FASTEST


def test_without_any_stock_voice_it_says_what_to_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kokoro, "voice_names", list)
    with pytest.raises(ConfigError, match="models fetch kokoro"):
        quick.nearest_stock(reference().embedding)


def test_likeness_is_measured_by_speaking_at_the_fits_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the speech detector lets the buzz through."""
    monkeypatch.setattr("audio_pipeline.models.hearing.speech.without_silence", lambda x: x)
    monkeypatch.setattr(kokoro, "load_pack", lambda name: np.zeros((510, 256), np.float32))
    mouth, ear = Mouth(), Ear()
    fit = replace(start(), pack=np.ones((1, 256), np.float32), speed=1.2, nearest_likeness=None)
    own = voice_fit.embedding(ear, mouth.synthesise("a" * 40, fit.pack[0]), kokoro.RATE)  # type: ignore[arg-type]
    wanted = replace(reference(), embedding=own)
    mouth.syntheses.clear()
    found = voice_fit.measured(fit, wanted, mouth, ear, REPORT[:2])  # type: ignore[arg-type]
    assert sorted(speed for _, speed in mouth.syntheses) == [1.0, 1.0, 1.2, 1.2]
    assert found.fitted_likeness is not None
    assert found.nearest_likeness is not None
    assert found.fitted_likeness > 0.95 > found.nearest_likeness


def test_without_torch_refine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "torch":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError, match=r"needs PyTorch, install it with: pip install 'audio-pipeline\[torch\]'"):
        voice_fit.refine(reference(), start())


def test_the_shipped_file_is_small_and_complete() -> None:
    assert quick.DATA.stat().st_size < 300_000
    assert {*FEW, "af_heart", "am_onyx", "bm_george"} <= set(trained().stock)
    assert ge2e.SIZE == len(trained().stock["af_heart"])
