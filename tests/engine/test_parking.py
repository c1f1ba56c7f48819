"""A node that fails again and again is parked; the pipeline ends only where nothing is left that people hear."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audio_pipeline.control.events import LogEvent
from audio_pipeline.control.notices import Failed
from audio_pipeline.errors import NodeError
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.graph.types import Graph
from audio_pipeline.node import Latency
from audio_pipeline.observe.prometheus import text_of
from audio_pipeline.supervisor.jobs import Run, make_job
from audio_pipeline.supervisor.parking import PARKED_S, audible_ends, ends_of
from audio_pipeline.supervisor.records import MAX_FAILURES, Phase
from audio_pipeline.view.loads import node_loads
from audio_pipeline.view.top_page import STATE_MARKS
from audio_pipeline.worker.commands import Absent, Present, row_of
from tests.engine.graphs import graph_of
from tests.fuzz.control import Quiet, quiet_supervisor, together
from tests.plain_state import plain_state

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
def quiet(request: pytest.FixtureRequest) -> Iterator[Quiet]:
    """Each launch gives a process, as the true one does, but for the process itself."""
    with quiet_supervisor(getattr(request, "param", SONG), together) as made:
        for record in made.parts.state.nodes.values():
            record.ready, record.latency = True, Latency()
        made.parts.starter.start_all()
        yield made


def kill(quiet: Quiet, name: str, said: str = "") -> None:
    """The process of a node ends, and the successor of everybody in it is there when it may be."""
    record = quiet.parts.state.nodes[name]
    record.failure = Failed(said) if said else None
    child = record.child
    assert child is not None
    quiet.parts.process_manager.on_exit(child, 1)
    quiet.parts.restarts.turn(time.monotonic() + 10)


def fail(quiet: Quiet, name: str, said: str = "") -> None:
    for _ in range(MAX_FAILURES + 1):
        kill(quiet, name, said)


def say(quiet: Quiet, name: str, **word: Any) -> None:
    quiet.notify(name, **word)


def announced(quiet: Quiet) -> list[tuple[str, str, str]]:
    """(who was sent it, `absent` or `present`, the node it is about)."""
    found = [(name, command) for name, command in quiet.mail.sent if isinstance(command, (Absent, Present))]
    return [(name, row_of(command).op, command.node) for name, command in found]


def ready(quiet: Quiet, name: str) -> None:
    say(quiet, name, op="ready", latency=[0, 0, 0, 0], live=[])


# -- what is heard, as a pure question -------------------------------------------------------------


def left(graph: Graph, *gone: str) -> set[str]:
    return audible_ends(graph.nodes, make_plan(graph).links, gone)


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
    supervisor, record = quiet.parts, quiet.parts.state.nodes["wet"]
    fail(quiet, "wet", "no such model")
    assert supervisor.life.error is None and not supervisor.ending.over
    assert record.phase is Phase.FAILED and "failed 13 times in a row (no such model)" in record.note
    assert record.retry_s == pytest.approx(time.monotonic() + PARKED_S, abs=5)
    whole = supervisor.overview.state()
    state = plain_state(whole)
    assert state["nodes"]["wet"]["state"] == "failed" and state["incident_count"] == MAX_FAILURES + 1
    assert 'node_up{kind="fader",node="wet",state="failed"} 0.0' in text_of(whole).decode()
    assert any(record.note == line for line in supervisor.events.log_lines)
    (event,) = [event for event in supervisor.events.kept if isinstance(event, LogEvent) and event.event == "parked"]
    assert event.level == "error" and event.node == "wet"


def test_a_parked_node_is_tried_each_minute_and_plays_when_it_can(quiet: Quiet) -> None:
    supervisor, record = quiet.parts, quiet.parts.state.nodes["rec"]
    fail(quiet, "rec")
    supervisor.restarts.turn(time.monotonic() + PARKED_S - 1)
    assert record.child is None
    for _ in range(3):
        record.phase = Phase.FAILED
        supervisor.restarts.turn(time.monotonic() + PARKED_S + 1)
        assert record.child is not None and record.phase is Phase.FAILED
        kill(quiet, "rec")
        assert record.child is None and record.phase is Phase.FAILED
    supervisor.restarts.turn(time.monotonic() + PARKED_S + 1)
    ready(quiet, "rec")
    assert record.phase is Phase.RUNNING and list(supervisor.events.log_lines)[-1] == "rec is back"
    assert supervisor.parked.names() == []
    supervisor.ending.note_failed()
    assert supervisor.life.exit_code == 0


@pytest.mark.parametrize("names", [("mix",), ("song",), ("rec", "out")])
def test_it_ends_where_nothing_is_left_that_people_hear(quiet: Quiet, names: tuple[str, ...]) -> None:
    for name in names:
        assert quiet.parts.life.error is None
        fail(quiet, name, "no such device")
    error = quiet.parts.life.error
    assert isinstance(error, NodeError) and "nothing audible is left: no such device" in str(error)
    assert all(name in str(error) for name in names)


def test_the_clock_goes_on_when_its_master_stays_dead(quiet: Quiet) -> None:
    supervisor = quiet.parts
    fail(quiet, "out")
    before = supervisor.overview.meters().position
    assert supervisor.life.error is None and supervisor.overview.meters().position > before


def test_a_stop_does_not_wait_for_a_parked_node_and_its_loss_is_the_exit_code(
    quiet: Quiet,
) -> None:
    supervisor = quiet.parts
    fail(quiet, "rec", "the disk is gone")
    quiet.mail.sent.clear()
    supervisor.life.stop()
    supervisor.turn(time.monotonic())
    supervisor.turn(time.monotonic())
    assert announced(quiet).count(("mix", "absent", "rec")) == 1, "nobody waits for its end"
    supervisor.restarts.turn(float("inf"))
    assert supervisor.state.nodes["rec"].child is None, "it is not tried any more"
    for record in supervisor.state.nodes.values():
        record.phase = Phase.FAILED if record.name == "rec" else Phase.ENDED
    assert supervisor.ending.over
    supervisor.ending.note_failed()
    assert supervisor.life.exit_code == NodeError.exit_code
    assert str(supervisor.life.error) == (
        "it ended without what had failed: rec failed 13 times in a row (the disk is gone)"
    )


def test_one_that_is_back_after_the_stop_is_not_waited_for(quiet: Quiet) -> None:
    supervisor, record = quiet.parts, quiet.parts.state.nodes["rec"]
    fail(quiet, "rec")
    supervisor.restarts.turn(time.monotonic() + PARKED_S + 1)
    supervisor.life.finishing_s = time.monotonic()
    ready(quiet, "rec")
    assert record.phase is Phase.FAILED


def test_top_marks_it(quiet: Quiet) -> None:
    fail(quiet, "wet", "no such model")
    loads = node_loads(None, quiet.parts.overview.state())
    (load,) = [load for load in loads if load.node == "wet"]
    assert STATE_MARKS[load.state] == ("✗", "bold red")


def test_where_all_sources_have_ended_nobody_waits_for_a_parked_node(
    quiet: Quiet,
) -> None:
    fail(quiet, "wet")
    quiet.mail.sent.clear()
    quiet.parts.parked.release()
    assert announced(quiet) == []
    quiet.parts.state.nodes["song"].phase = Phase.ENDED
    quiet.parts.parked.release()
    assert ("mix", "absent", "wet") in announced(quiet)


@pytest.mark.parametrize("back", ["sought back", "the node"])
def test_a_parked_node_that_nobody_waited_for_is_waited_for_again(quiet: Quiet, back: str) -> None:
    supervisor = quiet.parts
    fail(quiet, "wet")
    say(quiet, "song", op="ended")
    supervisor.parked.release()
    assert supervisor.state.absent() == ["wet"], "whoever starts now does not wait for it either"
    quiet.mail.sent.clear()
    if back == "the node":
        ready(quiet, "wet")
    else:
        say(quiet, "song", op="resumed")
    supervisor.parked.release()
    supervisor.parked.release()
    present = [(name, "present", "wet") for name in supervisor.state.nodes]
    assert [each for each in announced(quiet) if each[1] == "present"] == present
    assert supervisor.state.absent() == []


@pytest.mark.parametrize("quiet", [GROUP], indirect=True)
def test_one_of_a_group_is_parked_alone_and_has_a_process_of_its_own_from_then_on(quiet: Quiet) -> None:
    supervisor = quiet.parts
    song, side = supervisor.state.nodes["song"], supervisor.state.nodes["side"]
    assert song.child is side.child
    for _ in range(MAX_FAILURES + 1):
        side.failure = Failed("a mistake in side")
        kill(quiet, "side", "a mistake in side")
    assert (song.phase, side.phase) == (Phase.RESTARTING, Phase.FAILED) and song.failures == 0
    assert song.child is not None and side.child is None
    supervisor.restarts.turn(time.monotonic() + PARKED_S + 1)
    assert side.child is not None and side.child is not song.child
    assert make_job(supervisor.state.run, "side").inputs[0].endpoint.startswith("ipc://")
    assert supervisor.overview.describe().nodes["side"].process == "side"


def test_nodes_of_a_group_speak_inside_their_process_unless_one_left_it(tmp_path: Path) -> None:
    run = Run(make_plan(graph_of(GROUP)), tmp_path, tmp_path, lambda port: f"ipc://{port}")
    assert make_job(run, "side").inputs[0].endpoint == "inproc://song.out"
    assert make_job(run.with_apart("side"), "side").inputs[0].endpoint == "ipc://song.out"


def edit(quiet: Quiet, *changes: dict[str, Any]) -> None:
    quiet.request(op="edit", revision=quiet.parts.state.graph_revision, changes=list(changes))
    quiet.settle()


def test_a_parked_node_can_be_taken_out_and_put_back(quiet: Quiet) -> None:
    supervisor = quiet.parts
    fail(quiet, "rec")
    edit(quiet, {"op": "remove", "name": "rec"})
    assert "rec" not in supervisor.state.nodes and quiet.answers[-1]["ok"]
    edit(quiet, {"op": "add", "name": "rec", "node": {"kind": "sink", "inputs": {"a": "song"}}})
    assert supervisor.state.nodes["rec"].phase is not Phase.FAILED and supervisor.state.nodes["rec"].failures == 0


def test_a_parked_node_that_is_connected_otherwise_is_tried_at_once(quiet: Quiet) -> None:
    fail(quiet, "rec")
    edit(quiet, {"op": "connect", "from": "song", "to": "rec.b"})
    assert quiet.answers[-1]["ok"]
    quiet.parts.restarts.turn(time.monotonic())
    assert quiet.parts.state.nodes["rec"].child is not None


def test_a_setting_for_a_parked_node_is_kept_for_when_it_is_back(quiet: Quiet) -> None:
    fail(quiet, "wet")
    quiet.answers.clear()
    quiet.request(op="set", node="wet", name="gain", value=0.5)
    (answer,) = quiet.answers
    assert answer["ok"] and answer["result"]["note"] == "wet is failed; it gets this when it is back"
    assert quiet.parts.state.nodes["wet"].settings.gain == 0.5
