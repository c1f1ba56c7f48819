"""How late answers were seen to come, and what is stated from that."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from audio_pipeline import threads
from audio_pipeline.models.separation.remembered import RESPONSES, Remembered
from audio_pipeline.models.separation.responses import MINUTES, MISSED, Responses, compute_s, responses_of
from tests.models.test_separation_live import COMPUTE_MS, SPARE_MS, Live, music

SECOND = 1_000_000_000
SPARE_S, LEAST_S, CAREFUL_S = 0.01, 0.015, 0.06


def noted(seconds: range, response_s: float = 0.02, before: list[float] | None = None) -> list[list[float]]:
    """What a stream that is answered once a second keeps."""
    kept: list[list[float]] = []
    responses = Responses(before or [], kept.append)
    for second in seconds:
        responses.note(second * SECOND, response_s)
    return kept


def test_each_minute_adds_its_slowest_answer() -> None:
    assert noted(range(65)) == []
    assert noted(range(66)) == [[0.02]]
    assert noted(range(130)) == [[0.02], [0.02, 0.02]]


def test_what_comes_in_the_first_seconds_is_not_counted() -> None:
    kept: list[list[float]] = []
    responses = Responses([], kept.append)
    for second in range(70):
        responses.note(second * SECOND, 0.5 if second < 5 else 0.02)
    assert kept == [[0.02]]


def test_the_oldest_minutes_go() -> None:
    assert noted(range(66), 0.03, [0.02] * MINUTES) == [[*[0.02] * (MINUTES - 1), 0.03]]


def test_a_miss_counts_as_more_than_there_was() -> None:
    kept: list[list[float]] = []
    responses = Responses([], kept.append)
    for second in range(66):
        responses.note(second * SECOND, 0.02)
        if second == 30:
            responses.note_miss(second * SECOND, 0.04)
    assert kept == [[pytest.approx(MISSED * 0.04)]]


def test_a_new_stream_begins_a_minute_anew() -> None:
    kept: list[list[float]] = []
    responses = Responses([], kept.append)
    for second in range(120):
        if second == 60:
            responses.begin_anew()
        responses.note(second * SECOND, 0.02)
    assert kept == []


@pytest.mark.parametrize("minutes", range(1, MINUTES + 1))
def test_what_is_stated_holds_the_slowest_answer_that_was_seen(minutes: int) -> None:
    """The deadline is what is stated and the time that is spare."""
    slowest = [0.02] * (minutes - 1) + [0.03]
    stated_s = compute_s(slowest, SPARE_S, LEAST_S, CAREFUL_S)
    assert stated_s + SPARE_S >= 1.1 * max(slowest)
    assert stated_s >= compute_s([*slowest, 0.02], SPARE_S, LEAST_S, CAREFUL_S), "doubt goes as minutes are added"


@pytest.mark.parametrize(
    ("slowest", "stated_s"), [([], CAREFUL_S), ([0.001] * 10, LEAST_S), ([0.3], CAREFUL_S), ([0.3, 0.01], CAREFUL_S)]
)
def test_what_is_stated_has_bounds(slowest: list[float], stated_s: float) -> None:
    assert compute_s(slowest, SPARE_S, LEAST_S, CAREFUL_S) == stated_s


@pytest.mark.parametrize("entry", [None, 4, "20", {}, [20, "20"], [True], [-1], [0], [1e9], [20.0] * (MINUTES + 1)])
def test_an_entry_that_makes_no_sense_is_none(entry: object) -> None:
    assert responses_of(entry) == []


def test_a_run_goes_on_from_what_the_one_before_saw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, started = tmp_path / "cache" / "separator.json", list[threading.Thread]()
    begin = threads.start
    monkeypatch.setattr(threads, "start", lambda *a, **k: started.append(begin(*a, **k)))
    responses = Remembered(path, "a machine").responses(1)
    for second in range(66):
        responses.note(second * SECOND, 0.0234)
    for thread in started:
        thread.join()
    assert Remembered(path, "a machine").slowest(1) == [pytest.approx(0.0234)]
    assert Remembered(path, "a machine").slowest(2) == Remembered(path, "another").slowest(1) == []
    assert json.loads(path.with_name(RESPONSES).read_text()) == {"a machine; hop 1": [23.4]}


def test_a_driver_measures_from_when_the_block_could_have_been_put_out() -> None:
    """An inference of 100 ms, begun when the frame of 10 ms is there that completes its window."""
    kept: list[list[float]] = []
    live = Live(lambda now: 100)
    live.driver.responses = Responses([], kept.append)
    live.run(music(67))
    assert live.driver.missed == 0
    ((slowest_s,),) = kept
    assert 0.100 <= slowest_s <= 0.110 + 1e-6


def test_a_driver_notes_what_it_missed() -> None:
    """One inference of a minute takes longer than there is."""
    kept: list[list[float]] = []
    live = Live(lambda now: 100 if not 30_000 <= now / 1e6 < 30_200 else 180)
    live.driver.responses = Responses([], kept.append)
    live.run(music(67))
    assert live.driver.missed == 1
    assert kept == [[pytest.approx(MISSED * (COMPUTE_MS + SPARE_MS) / 1000)]]


def test_below_the_stated_rung_nothing_is_noted() -> None:
    kept: list[list[float]] = []
    live = Live(lambda now: 100, calm_s=1000.0)
    live.driver.responses = Responses([], kept.append)
    assert live.driver.ladder
    live.driver.ladder.at = 1
    live.run(music(70))
    assert kept == []
