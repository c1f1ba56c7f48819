"""Targets, and the formants that are found between two speakers."""

from __future__ import annotations

import json
from concurrent.futures import Future

import numpy as np
import pytest

pytest.importorskip("pyworld")

from audio_pipeline.dsp.envelope import POINTS
from audio_pipeline.dsp.pitch import PitchSpread
from audio_pipeline.errors import ConfigError
from audio_pipeline.models.convert import world
from audio_pipeline.models.convert.blocks import BlockConverter
from audio_pipeline.models.convert.formant import Calibration, Job
from audio_pipeline.models.convert.target import Target, spread_of, target_from, target_of
from audio_pipeline.models.convert.world_voice import WorldConverter
from audio_pipeline.models.hearing import ge2e
from audio_pipeline.models.weights import store
from tests.models.test_ge2e_stream import reader
from tests.models.test_world_voice import vowel

RATE = 16_000


@pytest.fixture(scope="module")
def encoder() -> ge2e.SpeakerEncoder:
    if store.locate("ge2e").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch ge2e)")
    return ge2e.load()


def _clip(name: str, number: int) -> np.ndarray:
    """Eight seconds (samples, 1) of a reader."""
    return reader(name, 2)[number * 8 * RATE :][: 8 * RATE, None]


def _target(hz: float = 110.0) -> Target:
    return Target(PitchSpread(float(np.log(hz)), 0.15), np.zeros(POINTS), np.zeros(256, np.float32))


def test_numbers_survive_json() -> None:
    target = Target(PitchSpread(4.7, 0.2), np.linspace(-1, 1, POINTS), np.ones(256, np.float32))
    back = target_from(json.loads(json.dumps(target.numbers())), target.embedding)
    assert back.pitch == target.pitch
    assert back.shape == pytest.approx(target.shape, abs=1e-4)


@pytest.mark.parametrize("wrong", [{}, {"log_f0_mean": float("nan")}])
def test_numbers_that_lack_something_are_refused(wrong: dict[str, float]) -> None:
    numbers = {**_target().numbers(), **wrong} if wrong else {}
    with pytest.raises(ValueError, match="the converter's numbers lack log_f0_mean"):
        target_from(numbers, np.zeros(256, np.float32))


def test_two_clips_of_a_reader_describe_one_voice(encoder: ge2e.SpeakerEncoder) -> None:
    first, second = (target_of(_clip("3005", i), RATE, encoder) for i in (0, 1))
    assert 12 * abs(first.pitch.mean - second.pitch.mean) / np.log(2) < 3, "semitones"
    assert ge2e.similarity(first.embedding, second.embedding) > 0.85


def test_stereo_and_other_rates_describe_the_same(encoder: ge2e.SpeakerEncoder) -> None:
    from audio_pipeline.dsp.resample import resampled

    x = _clip("1998", 0)[: 5 * RATE]
    mono, stereo = target_of(x, RATE, encoder), target_of(resampled(x, RATE, 48_000).repeat(2, axis=1), 48_000, encoder)
    assert stereo.pitch.mean == pytest.approx(mono.pitch.mean, abs=0.01)
    assert ge2e.similarity(mono.embedding, stereo.embedding) > 0.99


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_too_little_speech_is_refused(encoder: ge2e.SpeakerEncoder, seconds: float) -> None:
    with pytest.raises(ConfigError, match=r"a target needs 2 s of speech or more, this has \d\.\d s"):
        target_of(_clip("1998", 0)[: round(seconds * RATE)], RATE, encoder)


def test_octave_errors_do_not_widen_the_spread() -> None:
    f0 = np.concatenate([np.full(100, 100.0), np.full(5, 200.0), np.zeros(50)])
    assert spread_of(f0) == PitchSpread(pytest.approx(np.log(100)), pytest.approx(0.0))


def _learning(given: float | None, target: Target) -> tuple[Calibration, np.ndarray]:
    calibration = Calibration(target, None, given, 1.0)
    converter = WorldConverter(target.pitch, on_stretch=calibration.add)
    calibration.converter = converter
    blocks = BlockConverter(converter, world.RATE)
    blocks.process(vowel(6.0))
    return calibration, np.exp(converter.log_formant.at(np.arange(10) * world.RATE))


def test_a_given_factor_holds() -> None:
    calibration, formants = _learning(0.9, _target())
    assert {found.how for found in calibration.findings} == {"given"}
    assert formants[-1] == pytest.approx(0.9)


def test_the_first_guess_comes_after_a_second_of_voice() -> None:
    """An octave down without any shape to go by: 2 to the -0.25."""
    calibration, formants = _learning(None, _target(60.0))
    assert calibration.findings[0].how == "guess"
    assert calibration.findings[0].formant == pytest.approx(0.5**0.25, rel=0.05)
    assert formants[-1] == pytest.approx(calibration.findings[-1].formant)


def test_the_search_brings_a_reader_nearer(encoder: ge2e.SpeakerEncoder) -> None:
    target = target_of(_clip("3005", 0), RATE, encoder)
    calibration = Calibration(target, encoder, None, 1.0)
    converter = WorldConverter(target.pitch, on_stretch=calibration.add)
    calibration.converter = converter
    BlockConverter(converter, RATE).process(_clip("1998", 1)[:, 0])
    guess, found = calibration.findings
    assert (guess.how, found.how) == ("guess", "search")
    assert found.likeness > found.likeness_before + 0.05 and 0.7 < found.formant < 1.0


def test_a_successor_knows_what_was_found() -> None:
    calibration, _ = _learning(None, _target(60.0))
    successor = Calibration(_target(60.0), None, None, 1.0)
    successor.converter = WorldConverter(_target(60.0).pitch, on_stretch=successor.add)
    successor.restore(json.loads(json.dumps(calibration.state())))
    assert successor.converter.formant == pytest.approx(calibration.findings[-1].formant)
    assert not successor.findings, "it is no news"


def test_asked_for_again_it_listens_again() -> None:
    calibration, _ = _learning(0.9, _target(60.0))
    calibration.give(None)
    assert calibration.state() == {}


def test_a_search_that_fails_says_so(encoder: ge2e.SpeakerEncoder) -> None:
    """In its thread nobody would see it."""
    failed: Future[None] = Future()
    failed.set_exception(ValueError("no ear"))
    calibration = Calibration(_target(), encoder, None, 1.0, run=lambda job: failed)
    converter = WorldConverter(_target().pitch, on_stretch=calibration.add)
    calibration.converter = converter
    with pytest.raises(ValueError, match="no ear"):
        BlockConverter(converter, world.RATE).process(vowel(6.0))


def test_a_search_ends_when_nobody_wants_it(encoder: ge2e.SpeakerEncoder) -> None:
    jobs: list[Job] = []
    calibration = Calibration(_target(), encoder, None, 1.0, run=jobs.append)
    converter = WorldConverter(_target().pitch, on_stretch=calibration.add)
    calibration.converter = converter
    BlockConverter(converter, world.RATE).process(vowel(6.0))
    calibration.close()
    jobs[0]()
    BlockConverter(converter, world.RATE).process(vowel(1.0))
    assert [found.how for found in calibration.findings] == ["guess"]
