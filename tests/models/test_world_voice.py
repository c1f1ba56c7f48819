"""The WORLD converter by the laws of a voice: pitch, formants, level, and what must stay as it is."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pyworld")

from audio_pipeline.dsp.pitch import PitchSpread
from audio_pipeline.models.convert import world
from audio_pipeline.models.convert.blocks import BlockConverter
from audio_pipeline.models.convert.world import HOP
from audio_pipeline.models.convert.world_voice import EDGE, WorldConverter
from tests.dsp.chunking import noise

RATE = world.RATE


def vowel(seconds: float, hz: float = 120.0, rate: int = RATE, formants: tuple[float, ...] = (700, 1_200, 2_600)):
    """Harmonics of a gliding pitch (one semitone up and down) under resonances, -20 dBFS."""
    t = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(hz * 2 ** (np.sin(2 * np.pi * 2 * t) / 12)) / rate
    y = np.zeros(len(t))
    for k in range(1, int(min(rate / 2, 8_000) / hz / 1.1)):
        level = sum(1 / (1 + ((k * hz - f) / (60 + 0.03 * f)) ** 2) for f in formants) + 0.01
        y += level * np.sin(k * phase + k * k)
    return (y * 0.1 / y.std()).astype(np.float32)


def _converted(x: np.ndarray, rate: int = RATE, converter: WorldConverter | None = None) -> np.ndarray:
    blocks = BlockConverter(converter or WorldConverter(None), rate)
    return np.concatenate([blocks.process(x), blocks.finish()])


def _f0(x: np.ndarray) -> np.ndarray:
    f0 = world.pitch(x.astype(np.float64), careful=True)
    return f0[40:-40]


@pytest.mark.parametrize("semitones", [-7.0, 0.0, 5.0, 12.0])
def test_pitch_moves_by_the_semitones(semitones: float) -> None:
    """Against Harvest on both sides, at the same places; joins move a period, so 15 cents of the median are left."""
    x = vowel(2.0)
    y = _converted(x, converter=WorldConverter(None, semitones=semitones))
    before, after = _f0(x), _f0(y)
    both = (before > 0) & (after > 0)
    cents = 1200 * np.log2(after[both] / before[both]) - 100 * semitones
    assert both.mean() > 0.95
    assert abs(np.median(cents)) < 15 and np.percentile(np.abs(cents), 90) < 50


def test_pitch_takes_the_targets_mean() -> None:
    converter = WorldConverter(PitchSpread(np.log(210.0), 0.05))
    y = _converted(vowel(4.0), converter=converter)
    f0 = _f0(y[2 * RATE :])
    assert 1200 * abs(np.log2(np.exp(np.log(f0[f0 > 0]).mean()) / 210)) < 25


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_formants_move_by_the_factor(factor: float) -> None:
    """The peak of the mean envelope near the second resonance moves with it, to 6 %: harmonics are 120 Hz apart."""
    x = vowel(2.0, formants=(500, 1_500))
    y = _converted(x, converter=WorldConverter(None, formant=factor))

    def peak(sound: np.ndarray, near: float) -> float:
        own = sound.astype(np.float64)
        envelope = world.analysed(own, world.pitch(own)).envelope[100:-100].mean(axis=0)
        hz = np.arange(len(envelope)) * RATE / 2 / (len(envelope) - 1)
        inside = (hz > near * 0.8) & (hz < near * 1.2)
        return float(hz[inside][np.argmax(envelope[inside])])

    assert peak(y, 1_500 * factor) / peak(x, 1_500) == pytest.approx(factor, rel=0.06)


@pytest.mark.parametrize(("semitones", "formant"), [(0, 1.0), (-8, 0.8), (8, 1.2)])
def test_level_is_kept_within_a_decibel(semitones: float, formant: float) -> None:
    x = vowel(2.0)
    y = _converted(x, converter=WorldConverter(None, semitones=semitones, formant=formant))
    assert abs(20 * np.log10(y[RATE // 2 :].std() / x[RATE // 2 :].std())) < 1.0


def test_silence_stays_silence() -> None:
    assert not _converted(np.zeros(RATE, np.float32), converter=WorldConverter(None, semitones=5)).any()


def test_breath_is_left_as_it_is() -> None:
    """Noise has no pitch; a stray frame that seems to have is all that may differ."""
    x = noise(RATE, 1)[:, 0] * 0.1
    y = _converted(x, converter=WorldConverter(None, semitones=7, formant=0.8))
    assert np.mean(np.abs(y - x) < 1e-6) > 0.95


def test_an_impulse_stays_at_its_place() -> None:
    x = np.zeros(2 * RATE, np.float32)
    x[[9_001, 20_000, 31_337]] = 0.5
    y = _converted(x, converter=WorldConverter(None, semitones=-4, formant=1.1))
    assert np.flatnonzero(np.abs(y) > 0.25).tolist() == [9_001, 20_000, 31_337]


@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_other_rates_keep_the_pitch_law(rate: int) -> None:
    x = vowel(1.5, rate=rate, formants=(600, 1_300))
    y = _converted(x, rate, WorldConverter(None, semitones=4))
    from audio_pipeline.dsp.resample import resampled

    before, after = (_f0(resampled(v[:, None], rate, RATE)[:, 0]) for v in (x, y))
    n = min(len(before), len(after))
    both = (before[:n] > 0) & (after[:n] > 0)
    assert abs(np.median(1200 * np.log2(after[:n][both] / before[:n][both])) - 400) < 15


@pytest.mark.parametrize("size", [17, 480, 1_024])
def test_any_cutting_gives_the_same_samples(size: int) -> None:
    x = vowel(0.6)
    whole = _converted(x, converter=WorldConverter(PitchSpread(np.log(200), 0.2), formant=1.1))
    blocks = BlockConverter(WorldConverter(PitchSpread(np.log(200), 0.2), formant=1.1), RATE)
    pieces = [blocks.process(x[i : i + size]) for i in range(0, len(x), size)]
    assert np.array_equal(np.concatenate([*pieces, blocks.finish()]), whole)


def test_changes_glide() -> None:
    converter = WorldConverter(None)
    converter.shift(12.0)
    places = np.arange(0, RATE, world.HOP)
    assert np.abs(np.diff(converter.semitones.at(places))).max() < 0.3, "of a semitone in a frame"
    assert converter.semitones.at(places)[-1] == 12


def test_joins_make_no_steps() -> None:
    """A sudden step would be larger than any the voice makes itself, by more than 0.02 of full scale."""
    x = vowel(3.0)
    y = _converted(x, converter=WorldConverter(None, semitones=3, formant=0.9))
    assert np.abs(np.diff(y)).max() < np.abs(np.diff(x)).max() * 2 ** (3 / 12) + 0.02


def test_frames_of_the_window_before_are_what_this_one_would_find() -> None:
    """Only rounding and an F0 within 1.7 cents differ: the envelope is the same to -40 dB of its energy."""
    x = vowel(0.5).astype(np.float64)
    before, now = x[: 40 * HOP], x[10 * HOP : 50 * HOP]
    first = world.analysed(before, world.pitch(before))
    shared = slice(10, len(first.f0) - EDGE)
    known = world.Frames(first.f0[shared], first.envelope[shared], first.aperiodicity[shared])
    f0 = world.pitch(now)
    taken, alone = world.analysed(now, f0, known), world.analysed(now, f0)
    inner = slice(EDGE, len(f0) - EDGE)  # at the edge of a window half of a frame's sound is missing
    error = np.sum((taken.envelope - alone.envelope)[inner] ** 2) / np.sum(alone.envelope[inner] ** 2)
    assert error < 1e-4
    assert (taken.envelope[: len(known.f0)] == known.envelope).all(axis=1).mean() > 0.8, "most are taken over"


def test_a_frame_with_another_pitch_is_not_taken_over() -> None:
    x = vowel(0.3).astype(np.float64)
    f0 = world.pitch(x)
    wrong = world.Frames(f0 * 1.01, np.full((len(f0), world.BINS), 7.0), np.full((len(f0), world.BINS), 7.0))
    voiced = f0 > 0
    assert voiced.any() and (world.analysed(x, f0, wrong).envelope[voiced] != 7.0).all()
