"""Tempo and key: the same for any cut, the input where nothing is to be done, sines that stay sines, sharp drums."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from audio_pipeline.dsp.key_shift import KeyShift, latency_samples
from audio_pipeline.dsp.onsets import Onsets
from audio_pipeline.dsp.stretch import RETURN, Samples, Stretch
from audio_pipeline.errors import ConfigError

RATE = 44_100
BLOCKS = (1, 17, 480, 1024, 5000)
HITS = (4_410, 15_000, 26_100, 38_333, 49_000)

Processor = Stretch | KeyShift
MAKERS: dict[str, Callable[[], Processor]] = {
    "slower": lambda: Stretch(2, 0.8),
    "faster, onsets": lambda: Stretch(2, 1.25, onsets_at=RATE),
    "up": lambda: KeyShift(2, RATE, 3.0, onsets=True),
    "down, formants": lambda: KeyShift(2, RATE, -4.0, formants=True),
}


def music(seconds: float = 1.5) -> Samples:
    """A chord in stereo with bursts of noise at HITS."""
    n = np.arange(round(seconds * RATE))
    chord = sum(np.sin(2 * np.pi * f * n / RATE) for f in (220.0, 277.2, 329.6)) * 0.1
    return (np.stack([chord, 0.5 * chord], axis=1) + hits(seconds)).astype(np.float32)


def hits(seconds: float = 1.5) -> Samples:
    """Bursts of noise at HITS."""
    x = np.zeros((round(seconds * RATE), 2), np.float32)
    burst = np.random.default_rng(2).standard_normal((4_000, 2)) * np.exp(-np.arange(4_000) / 900)[:, None]
    for at in HITS:
        x[at : at + 4_000] = 0.3 * burst
    return x


def cut(made: Processor, x: Samples, sizes: Sequence[int]) -> Samples:
    """What comes out where x is cut into these sizes, over and over."""
    out, at, turn = [], 0, 0
    while at < len(x):
        size = sizes[turn % len(sizes)]
        out.append(made.process(x[at : at + size]))
        at, turn = at + size, turn + 1
    return np.concatenate([*out, made.flush()])


def sine(hz: float, seconds: float = 2.0) -> Samples:
    left = 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)
    return np.stack([left, 0.3 * left], axis=1).astype(np.float32)


def residual_db(y: Samples, hz: float) -> float:
    """What is left of the left channel without its sine of this frequency, against that sine; without the ends."""
    middle = y[12_000:-12_000, 0].astype(np.float64)
    n = np.arange(len(middle))
    basis = np.stack([np.cos(2 * np.pi * hz * n / RATE), np.sin(2 * np.pi * hz * n / RATE)], axis=1)
    weights = np.linalg.lstsq(basis, middle, rcond=None)[0]
    return float(20 * np.log10(np.std(middle - basis @ weights) / np.std(basis @ weights)))


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("block", BLOCKS)
def test_any_cut_gives_the_same_to_the_bit(name: str, block: int) -> None:
    x = music()[: 30_000 if block == 1 else None]
    whole = cut(MAKERS[name](), x, [len(x)])
    assert np.array_equal(cut(MAKERS[name](), x, [block]), whole)


@pytest.mark.parametrize("name", MAKERS)
def test_uneven_cuts_give_the_same_to_the_bit(name: str) -> None:
    x = music()
    assert np.array_equal(cut(MAKERS[name](), x, [0, 5000, 1, 480, 333]), cut(MAKERS[name](), x, [len(x)]))


@pytest.mark.parametrize("make", [lambda: Stretch(2, onsets_at=RATE), lambda: KeyShift(2, RATE, onsets=True)])
def test_nothing_to_do_gives_the_input_to_the_bit(make: Callable[[], Processor]) -> None:
    x = music()
    assert np.array_equal(cut(make(), x, [480]), x)


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 1.5])
def test_the_length_goes_with_the_speed(speed: float) -> None:
    x = music()
    assert abs(len(cut(Stretch(2, speed, onsets_at=RATE), x, [1024])) * speed - len(x)) <= speed


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 1.5])
def test_a_sine_stays_the_same_sine(speed: float) -> None:
    """Phases are carried on exactly, so what is left is the rounding of float32: -140 dB measured."""
    y = cut(Stretch(2, speed), sine(1000.3), [1024])
    assert residual_db(y, 1000.3) < -130
    assert np.abs(y[:, 1] - 0.3 * y[:, 0]).max() < 1e-6, "both channels turn alike, so the place between them stays"


@pytest.mark.parametrize("semitones", [-12.0, -4.0, 1.0, 3.0, 12.0])
def test_a_sine_moves_by_exactly_so_many_semitones(semitones: float) -> None:
    """The sinc's own noise is -112 dB."""
    y = cut(KeyShift(2, RATE, semitones), sine(1000.3), [1024])
    assert len(y) == len(sine(1000.3))
    assert residual_db(y, 1000.3 * 2 ** (semitones / 12)) < -105


def test_what_would_fold_back_is_left_out() -> None:
    y = cut(KeyShift(2, RATE, 12.0), sine(15_000.0), [1024])
    assert np.abs(y[12_000:-12_000]).max() < 1e-4


@pytest.mark.parametrize("make", [lambda: KeyShift(2, RATE, -4.0, onsets=True), lambda: KeyShift(2, RATE, 3.0)])
def test_back_at_zero_the_input_returns_to_the_bit_within_a_second(make: Callable[[], KeyShift]) -> None:
    x, made = np.tile(music(), (2, 1)), make()
    first = made.process(x[:RATE])
    made.set_semitones(0.0)
    y = np.concatenate([first, made.process(x[RATE:]), made.flush()])
    assert np.array_equal(y[2 * RATE :], x[2 * RATE :]) and not np.array_equal(y[:RATE], x[:RATE])


def test_a_speed_that_jumps_leaves_a_sine_without_clicks() -> None:
    """The energy above 3 kHz of a tone at 500 Hz: what a click would be made of."""
    x, made, out = sine(500.0, 3.0), Stretch(2), []
    for number, at in enumerate(range(0, len(x), RATE // 4)):
        made.set_speed((0.8, 1.3, 1.0)[number % 3])
        out.append(made.process(x[at : at + RATE // 4]))
    y = np.concatenate(out)[8_192:, 0] * np.hanning(len(np.concatenate(out)) - 8_192)
    power = np.abs(np.fft.rfft(y)) ** 2
    high = round(3_000 * len(y) / RATE)
    assert 10 * np.log10(power[high:].sum() / power.sum()) < -90


def test_the_return_takes_as_many_frames_as_stated() -> None:
    made, x = Stretch(2, 0.8), music(3.0)
    made.process(x[:RATE])
    made.set_speed(1.0)
    pieces = made.pieces(x[RATE:])
    places = [round(piece.begin) for piece in pieces]
    equal = [np.array_equal(piece.sound, x[at : at + made.hop]) for piece, at in zip(pieces, places, strict=True)]
    changed = next(number for number, at in enumerate(places) if at >= RATE)
    assert all(equal[changed + RETURN + 4 :]) and len(equal) > changed + RETURN + 10


def echo_db(y: Samples, at: float) -> float:
    """Energy in the 60 ms before a hit, but for the last 8 ms, against the hit's own; it is within 80 ms of `at`."""
    power = np.convolve(y[:, 0].astype(np.float64) ** 2, np.ones(88), "same")
    peak = int(at) - 3_500 + int(np.argmax(power[int(at) - 3_500 : int(at) + 3_500]))
    return float(10 * np.log10(power[peak - 2_650 : peak - 350].sum() / power[peak - 350 : peak + 4_000].sum()))


@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_a_drum_sends_no_echo_ahead(speed: float) -> None:
    """A frame is 93 ms long, so a plain vocoder spreads a hit over as much: the echo ahead of it is what is noticed."""
    x = hits()
    plain, kept = cut(Stretch(2, speed), x, [1024]), cut(Stretch(2, speed, onsets_at=RATE), x, [1024])
    for at in HITS[1:4]:
        assert echo_db(kept, at / speed) < -60 < -20 < echo_db(plain, at / speed)


def test_onsets_are_found_where_they_are_and_in_no_chord() -> None:
    """To the hop of 3 ms and the frame of 12 ms; a chord that goes on has none but its own beginning."""
    found = [at for at in Onsets(RATE, 2).process(music()) if at > 1_000]
    assert len(found) == len(HITS) and all(abs(at - hit) < 256 for at, hit in zip(found, HITS, strict=True))


@pytest.mark.parametrize("block", [1, 17, 480, 1024])
def test_onsets_are_the_same_for_any_cut(block: int) -> None:
    x, made = music()[:30_000], Onsets(RATE, 2)
    found = [at for begin in range(0, len(x), block) for at in made.process(x[begin : begin + block])]
    assert found == Onsets(RATE, 2).process(x) != []


@pytest.mark.parametrize("onsets", [False, True])
@pytest.mark.parametrize("semitones", [-7.0, 5.0])
def test_nothing_comes_later_than_stated(semitones: float, onsets: bool) -> None:
    x, made, came = music(), KeyShift(2, RATE, semitones, onsets=onsets), 0
    for at in range(0, len(x), 480):
        came += len(made.process(x[at : at + 480]))
        assert at + 480 - came <= latency_samples(semitones, onsets=onsets)


@pytest.mark.parametrize("speed", [0.2, 4.1, float("nan")])
def test_a_speed_out_of_range_is_refused(speed: float) -> None:
    with pytest.raises(ConfigError, match="speed: expected 0.25 to 4, got"):
        Stretch(2, speed)


@pytest.mark.parametrize("semitones", [-12.5, 13.0, float("nan")])
def test_a_shift_of_more_than_an_octave_is_refused(semitones: float) -> None:
    with pytest.raises(ConfigError, match="semitones: expected -12 to 12, got"):
        KeyShift(2, RATE, semitones)
