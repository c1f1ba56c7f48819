"""`top`: what lies between two looks at a pipeline, as a screen and as JSON."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.cli import attach
from audio_pipeline.cli.main import main
from audio_pipeline.control.client import Client
from audio_pipeline.control.state import State
from audio_pipeline.errors import ControlError
from audio_pipeline.histogram import AGE_EDGES_MS, BINS
from audio_pipeline.view.loads import Load, node_loads, path_loads
from audio_pipeline.view.top import Top, write_json, write_once
from audio_pipeline.view.top_page import SORTS, ordered, page
from tests.engine.states import FakeClient, full, karaoke

WORST = {
    "from": "mix.out",
    "to": "out.in",
    "seq": 8123,
    "position": 3_582_243,
    "epoch": 2,
    "time": 1.7e9,
    "age_ms": 512.0,
}


def times(*values_ms: float) -> dict[str, Any]:
    """What a board says of a duration that was measured so often."""
    bins = np.searchsorted(AGE_EDGES_MS, values_ms)  # how many edges lie below each
    counts = np.bincount(bins, minlength=BINS).tolist()
    return {
        "count": len(values_ms),
        "sum_ms": sum(values_ms),
        "p50": 0.0,
        "p99": 0.0,
        "max": max(values_ms, default=0.0),
        "counts": counts,
    }


def two_plain_looks() -> tuple[dict[str, Any], dict[str, Any]]:
    """A calm pipeline, and the same after a second in which the mixer waited and the separator worked."""
    before = karaoke()
    for node in before["nodes"].values():
        node["wait"], node["work"] = times(*[0.2] * 500), times(*[1.0] * 500)
    now = copy.deepcopy(before)
    now["uptime_s"] += 1.0
    for name, waited, worked in (("mix", [4.0] * 100, [0.5] * 100), ("split", [0.3] * 100, [60.0] * 10)):
        now["nodes"][name]["wait"] = times(*[0.2] * 500, *waited)
        now["nodes"][name]["work"] = times(*[1.0] * 500, *worked)
    now["nodes"]["split"]["counters"]["xruns"] = 3
    now["paths"][1]["measured"] = {**times(*[430.0] * 99, 512.0), "worst": WORST}
    return before, now


def two_looks() -> tuple[State, State]:
    before, now = two_plain_looks()
    return full(before), full(now)


def load_of(name: str, loads: list[Load]) -> Load:
    return next(load for load in loads if load.node == name)


def text(size: tuple[int, int] = (120, 40), by: str = "graph") -> list[str]:
    lines = page(*two_looks(), size, by)
    return ["".join(part for part, _ in line) for line in lines]


def test_wait_and_busy_are_of_the_time_between_two_looks() -> None:
    loads = node_loads(*two_looks())
    mix, split = load_of("mix", loads), load_of("split", loads)
    assert mix.wait_ms == pytest.approx(4.0) and mix.wait_share == pytest.approx(0.4)
    assert mix.busy_ms == pytest.approx(0.5) and mix.busy_share == pytest.approx(0.05)
    assert split.busy_share == pytest.approx(0.6) and split.busy_ms == pytest.approx(6.0), "a quantum, on average"
    assert split.busy_p99_ms == pytest.approx(60.0, rel=0.08), "a turn, at its longest"
    assert load_of("song", loads).wait_ms is None, "it did nothing meanwhile"


def test_errors_are_drops_that_somebody_misses_and_what_a_node_counts_as_such() -> None:
    loads = node_loads(*two_looks())
    assert load_of("split", loads).errors == {"xruns": 3, "missed_deadlines": 2}
    assert load_of("mix", loads).errors == {"dropped stale": 2}
    assert load_of("song", loads).error_count == 0


def test_credit_is_that_of_the_input_nearest_to_its_end() -> None:
    before, now = two_plain_looks()
    now["links"][2].update(in_flight=4, window=4)
    mix = load_of("mix", node_loads(full(before), full(now)))
    assert (mix.in_flight, mix.window, mix.queued) == (4, 4, 42)


def test_paths_show_what_was_measured_with_the_worst_frame() -> None:
    before, now = two_plain_looks()
    (path,) = path_loads(full(before), full(now))
    assert path.p50_ms == pytest.approx(430, rel=0.08) and path.max_ms == 512.0
    assert path.worst is not None and (path.worst.seq, path.worst.age_ms) == (8123, 512.0)
    assert any("8123" in line and "mix.out#8123 → out.in" in line for line in text())
    now["nodes"]["mic"]["state"] = "running"
    monitor, _ = path_loads(full(before), full(now))
    assert monitor.monitor and monitor.p50_ms is None, "first, though nothing has come on it"


@given(width=st.integers(20, 200), height=st.integers(2, 70), by=st.sampled_from(sorted(SORTS.values())))
def test_the_screen_fills_the_terminal_and_nothing_more(width: int, height: int, by: str) -> None:
    lines = text((width, height), by)
    assert len(lines) == height
    assert all(len(line) <= max(width, 60) for line in lines[2 : height - 1])


@pytest.mark.parametrize("width", [80, 120])
def test_the_columns_of_pw_top_are_there_at_80_columns(width: int) -> None:
    head = next(line for line in text((width, 24)) if "NODE" in line)
    assert len(head) <= width
    for title in ("WAIT", "BUSY", "W/Q", "B/Q", "QUE", "CREDIT", "ERR", "AGE99", "CPU%"):
        assert title in head
    assert ("PPM" in head) == ("B99" in head) == (width == 120)
    assert max(len(line) for line in text((width, 24))[:-1]) <= width


def test_nodes_are_sorted_by_what_is_asked_for() -> None:
    loads = node_loads(*two_looks())
    assert [load.node for load in ordered(loads, "graph")] == list(karaoke()["nodes"])
    assert ordered(loads, "BUSY")[0].node == "split" and ordered(loads, "WAIT")[0].node == "mix"
    assert [load.node for load in ordered(loads, "NODE")] == sorted(karaoke()["nodes"])


def test_keys_sort_and_leave() -> None:
    top = Top(FakeClient())
    assert top.press(["b"]) and top.by == "BUSY"
    assert top.press(["x"]) and top.by == "BUSY"
    assert top.press(["g"]) and top.by == "graph"
    assert not top.press(["w", "q"])


def test_a_pipeline_without_measures_yet_is_shown_all_the_same() -> None:
    out = io.StringIO()
    top = Top(FakeClient({**karaoke(), "run": "karaoke-1-x"}))
    top.refresh_twice(0.0, wait=lambda seconds: None)
    write_once(top, 80, out)
    write_json(top, out)
    *screen, last = out.getvalue().splitlines()
    assert any("split" in line for line in screen) and all(len(line) <= 80 for line in screen)
    assert {node["node"] for node in json.loads(last)["nodes"]} == set(karaoke()["nodes"])


def test_json_holds_the_numbers_of_the_screen() -> None:
    top = Top(FakeClient())
    top.before, top.now = two_looks()
    out = io.StringIO()
    write_json(top, out)
    said = json.loads(out.getvalue(), parse_constant=pytest.fail)
    (mix,) = [node for node in said["nodes"] if node["node"] == "mix"]
    assert mix["wait_share"] == pytest.approx(0.4) and said["interval_s"] == pytest.approx(1.0)
    assert said["paths"][0]["worst"]["seq"] == 8123 and said["quantum_ms"] == 10.0


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    made = FakeClient({**karaoke(), "run": "karaoke-1-x"})
    monkeypatch.setattr(Client, "attach", lambda which=None: made)
    return made


def test_the_command_prints_once_for_scripts(client: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--once", "--interval", "0"]) == 0
    assert "B/Q" in capsys.readouterr().out
    assert main(["top", "--once", "--json", "--interval", "0", "--sort", "busy"]) == 0
    assert json.loads(capsys.readouterr().out)["pipeline"] == "karaoke"
    assert main(["top", "--sort", "colour"]) == 2
    assert "expected one of" in capsys.readouterr().err


def test_a_pipeline_that_ends_meanwhile_is_no_error(
    client: FakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("audio_pipeline.view.watch.PATIENCE_S", 0.0)
    client.refuses = True
    assert main(["top", "--once"]) == 0
    assert capsys.readouterr().err == "the pipeline has ended\n"
    monkeypatch.setattr(attach, "_runs", lambda which: True)
    assert main(["top", "--once"]) == 7


def test_a_pipeline_that_never_answers_is_given_up(client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audio_pipeline.view.watch.PATIENCE_S", 0.0)
    client.refuses = True
    with pytest.raises(ControlError):
        Top(client).refresh_twice(0.0, wait=lambda seconds: None)
