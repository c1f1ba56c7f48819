"""When a node is given up, when its failures are forgotten, and what a host refuses it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audio_pipeline.graph.job import Job
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.host import processes
from audio_pipeline.metrics import Board
from audio_pipeline.node import Node
from audio_pipeline.supervisor import records, watch
from audio_pipeline.supervisor.board_readings import MOST_BOARDS, SIZE, BoardReadings
from audio_pipeline.supervisor.jobs import Run, make_job
from audio_pipeline.supervisor.records import BACKOFF_S, HEALTHY_S, NodeRecord, Phase
from audio_pipeline.supervisor.watch import OFFLINE_HANG_S, by_child, hangs, late_start, share_cpu
from audio_pipeline.worker import scheduling
from tests.engine.graphs import graph_of

S = 1_000_000_000
NODES = "a: {kind: noise, start_s: 7}\nb: {kind: fader, in: a}"


@pytest.fixture
def record() -> NodeRecord:
    spec = graph_of(NODES).nodes["a"]
    return NodeRecord(spec, spec.settings, {}, phase=Phase.RUNNING)


def shown(path: Path) -> Mapping[str, float]:
    board = BoardReadings().read(path)
    assert board is not None
    return board


class Now:
    """A clock for modules that look at `time.monotonic`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *modules: Any) -> None:
        self.s = 1000.0
        for module in modules:
            monkeypatch.setattr(module.time, "monotonic", lambda: self.s)


def test_ten_seconds_of_health_make_old_failures_forgotten(record: NodeRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    now = Now(monkeypatch, records)
    record.started_s, record.failures = now.s, 9
    now.s += HEALTHY_S - 0.1
    assert not record.healthy
    now.s += 0.2
    assert record.healthy
    record.phase = Phase.RESTARTING
    assert not record.healthy, "only one that runs"


def test_waits_between_starts_grow_to_a_limit(record: NodeRecord) -> None:
    waits = []
    for record.failures in range(1, 20):
        waits.append(record.backoff_s())
    assert waits == sorted(waits) and waits[0] == 0 and waits[-1] == BACKOFF_S[-1] == 5.0


def test_the_start_up_deadline_is_the_nodes_own_or_that_of_its_kind(record: NodeRecord) -> None:
    spec = graph_of(NODES).nodes["b"]
    other = NodeRecord(spec, spec.settings, {})
    assert (record.start_s, other.start_s) == (7.0, spec.cls.start_s)
    record.started_s = 100.0
    assert late_start(record, [record], 107.0) == ""
    assert late_start(record, [record], 107.1) == "did not start within 7 s"
    assert late_start(record, [record, other], 107.1 + other.start_s) == "did not start within 127 s"


@pytest.mark.parametrize(
    ("worst_s", "live", "limit_s"),
    [
        (0.01, True, Node.hang_s),
        (1.0, True, 3.0),
        (5.0, True, 15.0),
        (1.0, False, OFFLINE_HANG_S),
        (30.0, False, 90.0),
    ],
)
def test_a_loop_may_stand_still_for_three_times_its_longest_turn(
    record: NodeRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worst_s: float, live: bool, limit_s: float
) -> None:
    Now(monkeypatch, watch)
    path, beat = tmp_path / "a.0.board", 500 * S
    board = Board(path)
    board.put("beat_ns", beat)
    board.put("worst_step_ns", round(worst_s * S))
    record.started_s = 0.0
    within, beyond = (beat + round((limit_s + off) * S) for off in (-0.01, 0.01))
    assert hangs(record, shown(path), within, live=live, alone=True) == ""
    found = hangs(record, shown(path), beyond, live=live, alone=True)
    assert found == "hung: its loop did not turn"


def test_a_loudspeaker_is_given_up_sooner_than_other_kinds() -> None:
    kinds = graph_of("a: {kind: file_source, path: demo}\nb: {kind: playback, in: {from: a, on_loss: silence}}").nodes
    assert kinds["b"].cls.hang_s < kinds["a"].cls.hang_s == Node.hang_s


def test_in_a_group_the_one_whose_turn_it_is_is_to_blame(
    record: NodeRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Now(monkeypatch, watch)
    path, record.started_s = tmp_path / "a.0.board", 0.0
    board = Board(path)
    board.put("beat_ns", S)
    late = S + round((Node.hang_s + 0.1) * S)
    assert not hangs(record, shown(path), late, live=True, alone=False)
    later = S + round((2 * Node.hang_s + 0.1) * S)
    assert hangs(record, shown(path), later, live=True, alone=False), "nobody's turn, yet it stands"
    board.put("in_turn", 1)
    assert hangs(record, shown(path), late, live=True, alone=False)


def test_the_cpu_of_a_group_is_divided_by_the_time_of_turns(tmp_path: Path) -> None:
    graph = graph_of(NODES)
    records = [NodeRecord(spec, spec.settings, {}) for spec in graph.nodes.values()]
    boards = [Board(tmp_path / name) for name in graph.nodes]
    for board, busy in zip(boards, (30, 10), strict=True):
        board.put("busy_ns", busy)
    share_cpu(records, 0.4, [shown(tmp_path / name) for name in graph.nodes])
    assert [record.cpu for record in records] == pytest.approx([0.3, 0.1])
    share_cpu(records, 0.4, [shown(tmp_path / name) for name in graph.nodes])
    assert [record.cpu for record in records] == pytest.approx([0.2, 0.2]), "nothing was done since"


def test_nodes_are_found_by_the_process_that_runs_them() -> None:
    child: Any = object()
    records = [NodeRecord(spec, spec.settings, {}, child=child) for spec in graph_of(NODES).nodes.values()]
    assert by_child([*records, replace(records[0], child=None)]) == [(child, records)]


def test_a_reader_sees_what_is_on_the_board_as_it_comes(tmp_path: Path) -> None:
    readings = BoardReadings()

    def seen() -> dict[str, float]:
        return {name: board[name] for name in ("beat_ns", "in_turn") if name in (board := readings.read(path) or {})}

    path = tmp_path / "a"
    assert readings.read(path) is None, "there is no board yet"
    board = Board(tmp_path / "a")
    board.put("other", 5)
    board.observe_ms("age", 3.0)
    assert seen() == {}
    board.put("beat_ns", -(1 << 62))
    assert seen() == {"beat_ns": -(1 << 62)}
    board.put("in_turn", 1)
    board.put("beat_ns", 7)
    assert seen() == {"beat_ns": 7, "in_turn": 1}
    (tmp_path / "a").write_bytes(b"\xff" * 100)
    assert seen() == {}, "cut short"


# -- what the host refuses -----------------------------------------------------------------------------


def job(**keys: object) -> Job:
    text = ", ".join(f"{key}: {value}" for key, value in keys.items())
    graph = graph_of(f"a: {{kind: noise, {text}}}")
    return make_job(Run(make_plan(graph), Path("/run"), Path("/out"), lambda port: ""), "a")


def test_what_is_not_allowed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    for name in ("sched_setaffinity", "setpriority", "sched_setscheduler"):
        monkeypatch.setattr(scheduling.os, name, refuse)  # type: ignore[attr-defined]
    monkeypatch.setattr(scheduling.resource, "setrlimit", lambda *args: None)  # type: ignore[attr-defined]
    core = min(os.sched_getaffinity(0))
    assert scheduling.apply_scheduling(job(cpus=[core], nice=-5, realtime=20)) == [
        f"cores [{core}] are not to be had (Operation not permitted); it runs on any",
        f"nice -5 is not allowed here (Operation not permitted); it runs at {os.nice(0)}: see ulimit -e",
        "real-time priority 20 is not allowed here (Operation not permitted); it runs as others do: see ulimit -r",
    ]


def test_a_system_without_such_calls_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    core = min(os.sched_getaffinity(0))
    monkeypatch.delattr(scheduling.os, "sched_setaffinity")  # type: ignore[attr-defined]
    (said,) = scheduling.apply_scheduling(job(cpus=[core]))
    assert said == f"cores [{core}] are not to be had (this system has no call for it); it runs on any"


def test_a_job_without_wishes_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sched_setaffinity", "setpriority", "sched_setscheduler"):
        monkeypatch.setattr(scheduling.os, name, None)  # type: ignore[attr-defined]
    assert scheduling.apply_scheduling(job()) == []


@pytest.mark.parametrize("kernel_knows", [True, False])
def test_a_family_is_a_process_and_all_that_it_started(monkeypatch: pytest.MonkeyPatch, kernel_knows: bool) -> None:
    if not kernel_knows:
        monkeypatch.setattr(processes, "KERNEL_KNOWS", False)
        monkeypatch.setattr(processes, "Path", lambda path: Path(path) / "nowhere")
    elif not processes.KERNEL_KNOWS:
        pytest.skip("this kernel does not list children")
    shell = "sh -c 'echo $$; read x' & echo $!; wait"
    with subprocess.Popen(
        ["sh", "-c", f"exec 3<&0; {shell.replace('read x', 'read x <&3')}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert list(watch.family(parent.pid)) == [parent.pid, child]
        assert watch.Usage().rss_mb(parent.pid) > watch.Usage().rss_mb(child) > 0
        parent.communicate(b"\n")
    assert watch.Usage().rss_mb(parent.pid) == watch.Usage().cpu(parent.pid) == 0


def test_processes_and_boards_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    """Each restart is another process, and each edit may bring another name: neither adds up."""
    usage, readings = watch.Usage(), BoardReadings()
    usage.cpu(os.getpid())
    usage.keep(())
    for at in range(MOST_BOARDS + 50):
        path = tmp_path / f"node{at}"
        with path.open("wb") as file:
            file.truncate(SIZE)
        readings.read(path)
        path.unlink()
    assert not usage.pids and readings.known == MOST_BOARDS
