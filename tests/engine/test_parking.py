"""A node that fails again and again is parked; the pipeline ends only where nothing is left that people hear."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audio_pipeline.control.codec import VERSION, encode
from audio_pipeline.errors import NodeError
from audio_pipeline.graph.load import Graph
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.node import Latency
from audio_pipeline.observe.prometheus import text_of
from audio_pipeline.supervisor.jobs import Run, make_job
from audio_pipeline.supervisor.parking import PARKED_S, ends_of, heard
from audio_pipeline.supervisor.records import MAX_FAILURES, NodeRecord, Phase
from audio_pipeline.view.loads import node_loads
from audio_pipeline.view.top_page import STATE_MARKS
from tests.engine.graphs import graph_of
from tests.fuzz import control
from tests.fuzz.control import CLIENT, Nobody, Quiet, quiet_supervisor

SONG = """
song: {kind: noise, seed: 0}
wet: {kind: fader, in: song}
mix: {kind: sum, inputs: {wet: {from: wet, on_loss: silence}, dry: {from: song, on_loss: silence}}}
out: {kind: speaker, in: {from: mix, on_loss: silence}}
rec: {kind: sink, inputs: {a: mix}}
"""
GROUP = """
song: {kind: noise, seed: 0, process: light}
side: {kind: fader, in: song, process: light}
out: {kind: sink, inputs: {a: song, b: side}}
"""


@pytest.fixture
def quiet(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Quiet]:
    monkeypatch.setattr(control, "NODES", getattr(request, "param", SONG))
    with quiet_supervisor() as made:
        for record in made.supervisor.nodes.values():
            record.ready, record.latency = True, Latency()
        made.supervisor.start_all()
        yield made


def kill(quiet: Quiet, name: str, said: str = "") -> None:
    """The process of a node ends, and the successor of everybody in it is there when it may be."""
    process_manager, record = quiet.supervisor.process_manager, quiet.supervisor.nodes[name]
    record.said = {"error": said} if said else {}
    child = record.child
    assert child is not None
    process_manager._on_exit(child, 1)
    process_manager._restart_due(time.monotonic() + 10)


def fail(quiet: Quiet, name: str, said: str = "") -> None:
    for _ in range(MAX_FAILURES + 1):
        kill(quiet, name, said)


def say(quiet: Quiet, name: str, **word: Any) -> None:
    quiet.supervisor._hear(name.encode(), encode({"node": name, "token": quiet.token, **word}))


def ready(quiet: Quiet, name: str) -> None:
    say(quiet, name, op="ready", latency=[0, 0, 0, 0], live=[])


# -- what is heard, as a pure question -------------------------------------------------------------


def left(graph: Graph, *gone: str) -> set[str]:
    return heard(graph.nodes, make_plan(graph).links, gone)


def test_ends_are_loudspeakers_and_what_takes_sound_and_puts_none_out() -> None:
    graph = graph_of(SONG)
    assert ends_of(graph.nodes, make_plan(graph).links) == {"out", "rec"}
    line = graph_of("song: {kind: noise, seed: 0}\nwet: {kind: fader, in: song}")
    assert ends_of(line.nodes, make_plan(line).links) == {"wet"}, "nobody else: what nobody listens to"


@pytest.mark.parametrize(
    ("gone", "expected"),
    [
        ((), {"out", "rec"}),
        (("wet",), {"out", "rec"}),
        (("rec",), {"out"}),
        (("out",), {"rec"}),
        (("out", "rec"), set()),
        (("mix",), set()),
        (("song",), set()),
    ],
)
def test_sound_has_to_get_from_a_source_to_an_end(gone: tuple[str, ...], expected: set[str]) -> None:
    assert left(graph_of(SONG), *gone) == expected


@pytest.mark.parametrize(("on_loss", "expected"), [("silence", set()), ("bypass", {"out"})])
def test_a_bypass_leads_around_one_that_is_gone(on_loss: str, expected: set[str]) -> None:
    wet = f"mix: {{kind: sum, inputs: {{a: {{from: wet, on_loss: {on_loss}}}}}}}"
    ends = ("song: {kind: noise, seed: 0}\nwet: {kind: meter, in: song}", "out: {kind: sink, inputs: {a: mix}}")
    assert left(graph_of("\n".join([ends[0], wet, ends[1]])), "wet") == expected


# -- in the supervisor --------------------------------------------------------------------------------


def test_a_node_that_fails_thirteen_times_is_parked_and_the_others_play_on(quiet: Quiet) -> None:
    supervisor, record = quiet.supervisor, quiet.supervisor.nodes["wet"]
    fail(quiet, "wet", "no such model")
    assert supervisor.error is None and not supervisor._over()
    assert record.phase is Phase.FAILED and "failed 13 times in a row (no such model)" in record.note
    assert record.retry_s == pytest.approx(time.monotonic() + PARKED_S, abs=5)
    state = supervisor.control_server.overview.state()
    assert state["nodes"]["wet"]["state"] == "failed" and state["incident_count"] == MAX_FAILURES + 1
    assert 'node_up{kind="fader",node="wet",state="failed"} 0.0' in text_of(state).decode()
    assert any(record.note == line for line in supervisor.log_lines)
    (event,) = [event for event in supervisor.control_server.events if event.get("event") == "parked"]
    assert event["level"] == "error" and event["node"] == "wet"


def test_a_parked_node_is_tried_each_minute_and_plays_when_it_can(quiet: Quiet) -> None:
    supervisor, record = quiet.supervisor, quiet.supervisor.nodes["rec"]
    fail(quiet, "rec")
    supervisor.process_manager._restart_due(time.monotonic() + PARKED_S - 1)
    assert record.child is None
    for _ in range(3):
        record.phase = Phase.FAILED
        supervisor.process_manager._restart_due(time.monotonic() + PARKED_S + 1)
        assert record.child is not None and record.phase is Phase.FAILED
        kill(quiet, "rec")
        assert record.child is None and record.phase is Phase.FAILED
    supervisor.process_manager._restart_due(time.monotonic() + PARKED_S + 1)
    ready(quiet, "rec")
    assert record.phase is Phase.RUNNING and list(supervisor.log_lines)[-1] == "rec is back"
    assert supervisor.process_manager.parked.names() == []
    supervisor._tell_of_parked()
    assert supervisor.exit_code == 0


@pytest.mark.parametrize("names", [("mix",), ("song",), ("rec", "out")])
def test_it_ends_where_nothing_is_left_that_people_hear(quiet: Quiet, names: tuple[str, ...]) -> None:
    for name in names:
        assert quiet.supervisor.error is None
        fail(quiet, name, "no such device")
    error = quiet.supervisor.error
    assert isinstance(error, NodeError) and "nothing is left that people hear: no such device" in str(error)
    assert all(name in str(error) for name in names)


def test_the_clock_goes_on_when_its_master_stays_dead(quiet: Quiet) -> None:
    supervisor = quiet.supervisor
    fail(quiet, "out")
    before = supervisor.control_server.overview.state()["position"]
    assert supervisor.error is None and supervisor.control_server.overview.state()["position"] > before


def test_a_stop_does_not_wait_for_a_parked_node_and_its_loss_is_the_exit_code(
    quiet: Quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = quiet.supervisor
    fail(quiet, "rec", "the disk is gone")
    told: list[tuple[str, Any]] = []
    monkeypatch.setattr(supervisor, "tell", lambda name, word: told.append((name, word.get("op"))))
    supervisor.stop()
    supervisor._turn()
    supervisor._turn()
    assert told.count(("mix", "absent")) == 1, "nobody waits for its end"
    supervisor.process_manager._restart_due(float("inf"))
    assert supervisor.nodes["rec"].child is None, "it is not tried any more"
    for record in supervisor.nodes.values():
        record.phase = Phase.FAILED if record.name == "rec" else Phase.ENDED
    assert supervisor._over()
    supervisor._tell_of_parked()
    assert supervisor.exit_code == NodeError.exit_code
    assert str(supervisor.error) == (
        "it ended without what had failed: rec failed 13 times in a row (the disk is gone)"
    )


def test_one_that_is_back_after_the_stop_is_not_waited_for(quiet: Quiet) -> None:
    supervisor, record = quiet.supervisor, quiet.supervisor.nodes["rec"]
    fail(quiet, "rec")
    supervisor.process_manager._restart_due(time.monotonic() + PARKED_S + 1)
    supervisor.finishing_s = time.monotonic()
    ready(quiet, "rec")
    assert record.phase is Phase.FAILED


def test_top_marks_it(quiet: Quiet) -> None:
    fail(quiet, "wet", "no such model")
    state = quiet.supervisor.control_server.overview.state()
    (load,) = [load for load in node_loads(None, state) if load.node == "wet"]
    assert STATE_MARKS[load.state] == ("✗", "bold red")


def test_where_all_sources_have_ended_nobody_waits_for_a_parked_node(
    quiet: Quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(quiet, "wet")
    told: list[tuple[str, Any]] = []
    monkeypatch.setattr(quiet.supervisor, "tell", lambda name, word: told.append((name, word.get("op"))))
    quiet.supervisor.process_manager.parked.release()
    assert told == []
    quiet.supervisor.nodes["song"].phase = Phase.ENDED
    quiet.supervisor.process_manager.parked.release()
    assert ("mix", "absent") in told


@pytest.mark.parametrize("back", ["sought back", "the node"])
def test_a_parked_node_that_nobody_waited_for_is_waited_for_again(
    quiet: Quiet, monkeypatch: pytest.MonkeyPatch, back: str
) -> None:
    supervisor = quiet.supervisor
    fail(quiet, "wet")
    say(quiet, "song", op="ended")
    supervisor.process_manager.parked.release()
    assert supervisor.absent() == ["wet"], "whoever starts now does not wait for it either"
    told: list[tuple[str, Any, Any]] = []
    monkeypatch.setattr(supervisor, "tell", lambda name, word: told.append((name, word["op"], word.get("node"))))
    if back == "the node":
        ready(quiet, "wet")
    else:
        say(quiet, "song", op="resumed")
    supervisor.process_manager.parked.release()
    supervisor.process_manager.parked.release()
    assert [word for word in told if word[1] == "present"] == [(name, "present", "wet") for name in supervisor.nodes]
    assert supervisor.absent() == []


@pytest.mark.parametrize("quiet", [GROUP], indirect=True)
def test_one_of_a_group_is_parked_alone_and_has_a_process_of_its_own_from_then_on(quiet: Quiet) -> None:
    supervisor = quiet.supervisor
    song, side = supervisor.nodes["song"], supervisor.nodes["side"]
    assert song.child is side.child
    for _ in range(MAX_FAILURES + 1):
        side.said = {"error": "a mistake in side"}
        kill(quiet, "side", "a mistake in side")
    assert (song.phase, side.phase) == (Phase.RESTARTING, Phase.FAILED) and song.failures == 0
    assert song.child is not None and side.child is None
    supervisor.process_manager._restart_due(time.monotonic() + PARKED_S + 1)
    assert side.child is not None and side.child is not song.child
    assert make_job(supervisor.run, "side").inputs[0].endpoint.startswith("ipc://")
    assert supervisor.control_server.overview.state()["nodes"]["side"]["process"] == "side"


def test_nodes_of_a_group_speak_inside_their_process_unless_one_left_it(tmp_path: Path) -> None:
    run = Run(make_plan(graph_of(GROUP)), tmp_path, tmp_path, lambda node, port: f"ipc://{node}.{port}")
    assert make_job(run, "side").inputs[0].endpoint == "inproc://song.out"
    assert make_job(run.with_apart("side"), "side").inputs[0].endpoint == "ipc://song.out"


def edit(quiet: Quiet, *changes: dict[str, Any]) -> None:
    editor = quiet.supervisor.editor
    quiet.supervisor._hear(
        CLIENT,
        encode(
            {
                "v": VERSION,
                "token": quiet.token,
                "id": 1,
                "op": "edit",
                "revision": editor.revision,
                "changes": list(changes),
            }
        ),
    )
    quiet._settle()


def test_a_parked_node_can_be_taken_out_and_put_back(quiet: Quiet) -> None:
    supervisor = quiet.supervisor
    fail(quiet, "rec")
    edit(quiet, {"op": "remove", "name": "rec"})
    assert "rec" not in supervisor.nodes and quiet.answers[-1]["ok"]
    edit(quiet, {"op": "add", "name": "rec", "node": {"kind": "sink", "inputs": {"a": "song"}}})
    assert supervisor.nodes["rec"].phase is not Phase.FAILED and supervisor.nodes["rec"].failures == 0


def test_a_parked_node_that_is_connected_otherwise_is_tried_at_once(quiet: Quiet) -> None:
    fail(quiet, "rec")
    edit(quiet, {"op": "connect", "from": "song", "to": "rec.b"})
    assert quiet.answers[-1]["ok"]
    quiet.supervisor.process_manager._restart_due(time.monotonic())
    assert quiet.supervisor.nodes["rec"].child is not None


def test_a_setting_for_a_parked_node_is_kept_for_when_it_is_back(quiet: Quiet) -> None:
    fail(quiet, "wet")
    quiet.answers.clear()
    quiet.supervisor._hear(
        CLIENT,
        encode({"v": VERSION, "token": quiet.token, "id": 1, "op": "set", "node": "wet", "name": "gain", "value": 0.5}),
    )
    (answer,) = quiet.answers
    assert answer["ok"] and answer["result"]["note"] == "wet is failed; it takes this when it is back"
    assert quiet.supervisor.nodes["wet"].settings.gain == 0.5


@pytest.fixture(autouse=True)
def processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each launch gives a process, as the true one does, but for the process itself."""

    def launch(process_manager: Any, records: list[NodeRecord], run: Run) -> None:
        child = Nobody()
        for record in records:
            record.child, record.ready, record.retry_s = child, False, None  # type: ignore[assignment]
            record.started_s = time.monotonic()

    monkeypatch.setattr(control, "_pretend", launch)
