"""The verdict on the mark: found where it is, in what people do to sound, and not in speech, singing and noise."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline.cli.detect import sentences
from audio_pipeline.dsp.resample import resampled
from audio_pipeline.models.hearing import mark, perth
from audio_pipeline.models.hearing.mark import MarkSeeker, Verdict, sought, thresholds
from audio_pipeline.models.hearing.perth import Array, Perth
from audio_pipeline.models.weights import store
from tests.dsp.chunking import SIZES, chunks
from tests.shared import shared

RATE = 16_000
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def networks() -> Perth:
    if store.locate("perth").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch perth)")
    return perth.load()


@cache
def reader(name: str) -> Array:
    x, rate = soundfile.read(sorted(shared(f"speech/{name}").glob("*.flac"))[0], dtype="float32", always_2d=True)
    assert rate == RATE
    return x[: 6 * RATE]


@pytest.fixture(scope="module")
def marked(networks: Perth) -> Array:
    return perth.marked(networks, reader("1998"), RATE)


def test_the_mark_is_found_and_where(networks: Perth, marked: Array) -> None:
    verdict = sought(networks, marked, RATE)
    assert verdict.marked and verdict.seconds == 6.0
    ((start, end),) = verdict.parts
    assert start <= 0.5 and end >= 5.5
    assert not sought(networks, reader("1998"), RATE).marked


def test_three_seconds_of_a_minute_are_found_and_shown(networks: Perth) -> None:
    x = np.concatenate([reader(name) for name in ("1688", "2384", "3005", "533", "200") * 2])
    x[26 * RATE : 29 * RATE] = perth.marked(networks, x[26 * RATE : 29 * RATE], RATE)
    verdict = sought(networks, x, RATE)
    assert verdict.marked
    start, end = verdict.parts[0][0], verdict.parts[-1][1]
    assert 24.5 <= start <= 27 and 28 <= end <= 30.5


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (1, 0), (0, 1), (1, 0.1)])
def test_no_way_to_lay_it_on_two_sides_hides_it(networks: Perth, marked: Array, signs: tuple[float, float]) -> None:
    assert sought(networks, marked * np.float32(signs), RATE).marked
    assert not sought(networks, reader("1998") * np.float32(signs), RATE).marked


def test_the_mark_on_one_side_with_another_voice_on_the_other(networks: Perth, marked: Array) -> None:
    assert sought(networks, np.concatenate([marked, reader("1688")], axis=1), RATE).marked


@pytest.mark.parametrize("peak_db", [0.0, -60.0])
def test_the_level_changes_nothing(networks: Perth, marked: Array, peak_db: float) -> None:
    gain = np.float32(10 ** (peak_db / 20) / np.abs(marked).max())
    assert sought(networks, marked * gain, RATE).parts == sought(networks, marked, RATE).parts
    assert not sought(networks, reader("1998") * gain, RATE).marked


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_other_rates(networks: Perth, marked: Array, rate: int) -> None:
    assert sought(networks, resampled(marked, RATE, rate), rate).marked


def test_noise_20_db_below_it(networks: Perth, marked: Array) -> None:
    noise = RNG.standard_normal(marked.shape) * np.std(marked) / 10
    assert sought(networks, (marked + noise).astype(np.float32), RATE).marked


@pytest.mark.parametrize("name", ["10", "12", "19", "24", "26", "41", "45", "48"])
def test_singers_are_people(networks: Perth, name: str) -> None:
    for kind in ("voice", "mixture"):
        x, rate = soundfile.read(shared(f"singing/{name}/{kind}.flac"), dtype="float32", always_2d=True)
        assert not sought(networks, x, rate).marked


def test_a_separated_singer_is_a_person(networks: Perth) -> None:
    """Two seconds of it convince the decoder altogether: it alone would accuse."""
    x, rate = soundfile.read(shared("spleeter_official/vocals.wav"), dtype="float32", always_2d=True)
    assert not sought(networks, x, rate).marked


@pytest.mark.parametrize("kind", ["white", "chord", "chirp", "hum", "silence"])
def test_what_nobody_said_carries_no_mark(networks: Perth, kind: str) -> None:
    t = np.arange(4 * RATE) / RATE
    x = {
        "white": RNG.standard_normal(len(t)),
        "chord": sum(np.sin(2 * np.pi * f * k * t) / k for f in (220, 277, 330) for k in range(1, 12)),
        "chirp": np.sin(2 * np.pi * (100 * t + 200 * t**2)),
        "hum": sum(np.sin(2 * np.pi * 50 * k * t) / k for k in range(1, 20)),
        "silence": np.zeros(len(t)),
    }[kind]
    assert not sought(networks, (0.1 * np.asarray(x)).astype(np.float32)[:, None], RATE).marked


@pytest.mark.parametrize("size", SIZES[1:])
def test_streamed_is_one_shot(networks: Perth, marked: Array, size: int) -> None:
    both = np.concatenate([marked, reader("1688")], axis=1)[: 3 * RATE + 777]
    seeker, whole = MarkSeeker(networks, RATE, 2), MarkSeeker(networks, RATE, 2)
    for _, part in chunks(both, size):
        seeker.push(part)
    whole.push(both)
    for a, b in zip(seeker.tracks(), whole.tracks(), strict=True):
        assert np.array_equal(a, b)


def test_what_is_held_does_not_grow_with_the_pieces(networks: Perth) -> None:
    seeker = MarkSeeker(networks, RATE, 1)
    for _ in range(12):
        seeker.push(reader("1998")[:RATE])
        assert len(seeker._held) <= mark.CHUNK + 3 * mark.MARGIN + perth.RATE


@pytest.mark.parametrize("seconds", [1.0, 1.3, 1.5])
def test_a_word_is_found(networks: Perth, marked: Array, seconds: float) -> None:
    verdict = sought(networks, marked[RATE : round((1 + seconds) * RATE)], RATE)
    assert verdict.marked and verdict.parts[-1][1] <= seconds


@pytest.mark.parametrize("samples", [0, 1, 100, 5_000])
def test_the_shortest_sounds_carry_none(networks: Perth, samples: int) -> None:
    assert not sought(networks, reader("1998")[:samples], RATE).marked


def test_a_longer_file_asks_for_more() -> None:
    """The less sure the decoder is, and the rarer alarms are allowed, the more is asked of the projection."""
    short, long = thresholds(2, 1e-4), thresholds(2, 1e-8)
    assert short == sorted(short) and all(a < b for a, b in zip(short, long, strict=True))


@pytest.mark.parametrize("files", [100, pytest.param(10_000, marks=pytest.mark.long)])
def test_windows_as_they_are_without_a_mark_alarm_as_rarely_as_stated(
    monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    """Each window draws its share and projection as they were measured: of 100 files of ten minutes 0.01 alarms are
    allowed, though each has thousands of windows; of 10,000 files one is, and four are one in fifty."""
    rng = np.random.default_rng(0)

    def drawn(rows: mark.Wide, window: int) -> tuple[mark.Wide, mark.Wide, mark.Flags]:
        count = len(rows) - window + 1
        value, share, dice = np.full(count, -np.inf), np.zeros(count), rng.random(count)
        for least, often, by_length in mark.TIERS:
            _, mean, spread = next(row for row in by_length if window <= row[0])
            here = (dice >= 0) & (dice < often)
            value[here], share[here] = rng.normal(mean, spread, int(here.sum())), least
            dice -= often
        return value, share, np.ones(count, bool)

    monkeypatch.setattr(mark, "projections", drawn)
    alarms = sum(mark.judged([np.ones((1_200, 2))], 600.0).marked for _ in range(files))
    assert alarms <= files // 3_000


def test_the_sentence_names_the_parts_and_the_strip_shows_them() -> None:
    rows = np.zeros(240, bool)
    rows[60:66] = True
    verdict = Verdict(True, ((30.0, 33.0),), 120.0, rows)
    first, strip = sentences(Path("a.wav"), verdict)
    assert first == "a.wav: made by a machine: it carries the mark, 0:30.0 to 0:33.0 of 2:00.0"
    assert strip == f"  |{'·' * 15}██{'·' * 43}|"
    clean = Verdict(False, (), 5.0, np.zeros(10, bool))
    assert sentences(Path("a.wav"), clean) == ["a.wav: no mark found in 0:05.0"]
