"""What a client or a node says wrongly is one sentence, changes nothing, and does not reach a successor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from audio_pipeline.control.codec import VERSION
from audio_pipeline.control.events import NodeEvent
from audio_pipeline.control.notices import Failed
from audio_pipeline.control.numbers import switch
from audio_pipeline.errors import ConfigError, ControlError, NodeError
from audio_pipeline.graph.job import ScheduledSetting
from audio_pipeline.node import Latency
from audio_pipeline.run.assignment import assignment, timed_assignment
from audio_pipeline.supervisor.job_maker import JobMaker
from audio_pipeline.supervisor.local import LocalGraph
from audio_pipeline.supervisor.node_requests import MOST_PENDING, MOST_SCHEDULED
from audio_pipeline.supervisor.records import Phase
from audio_pipeline.supervisor.transport import Transport
from audio_pipeline.worker import commands
from tests.engine.graphs import graph_of
from tests.fuzz.control import CLIENT, Quiet, quiet_supervisor

NODES = """
song: {kind: noise, seed: 0}
wet: {kind: picky, in: song}
out: {kind: sink, inputs: {a: wet}}
"""


@pytest.fixture
def quiet() -> Iterator[Quiet]:
    with quiet_supervisor(NODES) as made:
        for record in made.parts.state.nodes.values():
            record.ready, record.latency = True, Latency()
        made.parts.starter.start_all()
        yield made


def send(quiet: Quiet, **word: Any) -> None:
    """A request; the node's answer to it has not come yet."""
    quiet.answers.clear()
    quiet.request(**word)


def reply(quiet: Quiet, node: str, **answer: Any) -> dict[str, Any]:
    """The node answers the one request that waits."""
    (number,) = quiet.parts.node_requests.pending
    quiet.notify(node, op="reply", id=number, **answer)
    (said,) = quiet.answers
    return said


def refused(quiet: Quiet, **word: Any) -> str:
    send(quiet, **word)
    (answer,) = quiet.answers
    assert not answer["ok"], answer
    error: str = answer["error"]
    return error


def test_an_answer_that_makes_no_sense_is_refused_and_reported(quiet: Quiet) -> None:
    """The node has done it; what it says of it is one sentence for the client and one for the log, and no traceback."""
    send(quiet, op="set", node="wet", name="level", value=3.0)
    answer = reply(quiet, "wet", ok=True, result={"position": "soon"})
    wrong = "reply to set.position: expected a whole number, got 'soon'"
    assert answer["error"] == f"wet has done it, but its answer is malformed: {wrong}"
    assert quiet.parts.events.log_lines[-1] == f"malformed message from wet: {wrong}"
    assert quiet.parts.state.nodes["wet"].settings.level == 3.0 and not quiet.parts.node_requests.pending


# -- settings ------------------------------------------------------------------------------------------


def test_what_the_node_refuses_is_not_wanted_of_its_successor(quiet: Quiet) -> None:
    record = quiet.parts.state.nodes["wet"]
    send(quiet, op="set", node="wet", name="voice", value="unknown")
    answer = reply(quiet, "wet", ok=False, error="'unknown' is no voice")
    assert answer["error"] == "'unknown' is no voice" and record.settings.voice == "first"
    assert (
        JobMaker(quiet.parts.state, quiet.parts.playhead).job(record, quiet.parts.state.run).settings["voice"]
        == "first"
    )
    send(quiet, op="set", node="wet", name="voice", value="second")
    assert record.settings.voice == "first", "nothing is known of it yet"
    assert reply(quiet, "wet", ok=True, result={})["ok"] and record.settings.voice == "second"


def test_a_timed_one_that_is_refused_is_not_waited_for(quiet: Quiet) -> None:
    record = quiet.parts.state.nodes["wet"]
    send(quiet, op="set", node="wet", name="voice", value="unknown", at=48_000)
    assert record.schedule == [ScheduledSetting(48_000, "voice", "unknown")]
    quiet.notify("wet", op="applied", at=48_000, name="voice", value="unknown", ok=False)
    assert record.schedule == [] and record.settings.voice == "first"
    reply(quiet, "wet", ok=True, result={})
    send(quiet, op="set", node="wet", name="voice", value="unknown", at=1)
    reply(quiet, "wet", ok=False, error="no")
    assert record.schedule == []


def test_what_was_set_while_it_was_down_is_taken_back_when_it_does_not_start_with_it(quiet: Quiet) -> None:
    supervisor, record = quiet.parts, quiet.parts.state.nodes["wet"]
    assert record.child is not None
    supervisor.process_manager.on_exit(record.child, -9)
    send(quiet, op="set", node="wet", name="voice", value="unknown")
    send(quiet, op="set", node="wet", name="level", value=3.0)
    assert record.settings.voice == "unknown"
    supervisor.restarts.turn(float("inf"))
    record.ready, record.failure = False, Failed("'unknown' is no voice")
    assert record.child is not None
    supervisor.process_manager.on_exit(record.child, 1)
    assert (record.settings.voice, record.settings.level) == ("first", 0.0)
    assert any("that is taken back" in line for line in supervisor.events.log_lines)


def local(**over: str) -> LocalGraph:
    return LocalGraph(graph_of(NODES), Path("."), live=True, **over)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["unknown", "broken"])
def test_in_the_node_a_refused_value_is_not_in_force(value: str) -> None:
    with local() as graph:
        graph.run_until(100_000_000)
        graph.command("wet", commands.Set("voice", value, id=5))
        assert graph.runners["wet"].node.settings.voice == "first"
        graph.command("wet", commands.Set("voice", value, 50_000, id=6))
        graph.run_until(2_000_000_000)
        assert graph.runners["wet"].node.settings.voice == "first"


def test_a_mistake_in_what_a_client_sends_does_not_end_the_node() -> None:
    with local() as graph:
        reply = graph.command("wet", commands.Event("text", {"kind": "text", "text": 5}, id=7))
        assert reply is not None and not reply.ok and "wet: event: TypeError" in reply.error


# -- numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        1e308,
        math.nan,
        math.inf,
        -math.inf,
        -1,
        -0.5,
        2**63,
        "1:00",
        True,
        None,
        [5],
        {"s": 5},
        "x" * 10_000,
    ],
)
def test_a_place_in_a_song_is_a_number_of_seconds_that_a_song_can_have(quiet: Quiet, value: Any) -> None:
    error = refused(quiet, op="transport", node="song", command="seek", args={"seconds": value})
    assert error.startswith("seek: seconds: expected a number >= 0 and <= 10000000, got ") and len(error) < 200


@pytest.mark.parametrize(
    ("over", "said"),
    [
        (
            {"op": "set", "node": "wet", "name": "level", "value": math.nan},
            "nodes.wet.level: expected a number, got nan",
        ),
        (
            {"op": "set", "node": "wet", "name": "level", "value": math.inf},
            "nodes.wet.level: expected a number, got inf",
        ),
        ({"op": "set", "node": "wet", "name": "level", "value": 2**63}, "nodes.wet.level: expected a number, got"),
        ({"op": "set", "node": "wet", "name": "level", "value": True}, "nodes.wet.level: expected a number, got True"),
        ({"op": "set", "node": "wet", "name": "on", "value": 1}, "nodes.wet.on: expected true or false, got 1"),
        ({"op": "set", "node": "wet", "name": "voice", "value": 5}, "nodes.wet.voice: expected text, got 5"),
        (
            {"op": "set", "node": "wet", "name": "level", "value": 0.0, "at": 2**63},
            "set.at: expected a whole number >= 0",
        ),
        (
            {"op": "set", "node": "wet", "name": "level", "value": 0.0, "at": 1.0},
            "set.at: expected a whole number >= 0",
        ),
        (
            {"op": "set", "node": "wet", "name": "level", "value": 0.0, "at": True},
            "set.at: expected a whole number >= 0",
        ),
        ({"op": "set", "node": "wet", "name": "level", "value": 0.0, "typed": 5}, "set.typed: expected text, got 5"),
        ({"op": "set", "node": "wet", "name": "level"}, "set.value: missing"),
        ({"op": "transport", "node": "song"}, "transport.command: missing"),
        ({"op": "events", "since": math.inf}, "events.since: expected a whole number >= 0 and < 2^62, got inf"),
        ({"op": "events", "since": -5}, "events.since: expected a whole number >= 0 and < 2^62, got -5"),
        ({"op": "send", "node": "wet"}, "send.port: missing"),
        ({"op": "edit", "revision": 1e308, "changes": []}, "edit.revision: expected a whole number >= 0"),
    ],
)
def test_every_other_number_is_checked_before_it_is_used(quiet: Quiet, over: dict[str, Any], said: str) -> None:
    assert said in refused(quiet, **over)


@pytest.mark.parametrize("value", ["off", 0, 1, None, [], math.nan])
def test_only_true_and_false_switch(value: Any) -> None:
    with pytest.raises(ControlError, match="loop: on: expected true or false, got"):
        switch("loop: on", value)


@pytest.mark.parametrize("key", ["media_s", "length_s", "rate"])
@pytest.mark.parametrize("value", [math.nan, math.inf, "x"])
def test_a_song_is_mapped_by_finite_numbers(key: str, value: Any) -> None:
    transport = Transport()
    with pytest.raises(ValueError):
        transport.on_event(NodeEvent(kind="media", node="song", position=0, data={key: value}))
    assert not transport.pieces


def test_more_than_is_reasonable_is_refused(quiet: Quiet) -> None:
    record = quiet.parts.state.nodes["wet"]
    record.schedule = [ScheduledSetting(position, "level", 0.0) for position in range(MOST_SCHEDULED)]
    word = {"op": "set", "node": "wet", "name": "level", "value": 1.0}
    assert refused(quiet, **word, at=5) == "set: wet has 1000 settings that wait for their position"
    for _ in range(MOST_PENDING):
        send(quiet, **word)
    assert refused(quiet, **word) == "1000 requests wait for a reply of a node; try again"
    assert len(quiet.parts.node_requests.pending) == MOST_PENDING


# -- what somebody typed -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Number # one",
        "12:30",
        "yes",
        "null",
        "5",
        "1e3",
        "2024-12-24",
        "[a, b]",
        "{",
        "a: b",
        "'quoted'",
        "~",
        "0x10",
    ],
)
def test_a_setting_that_is_text_is_what_was_typed(quiet: Quiet, text: str) -> None:
    _, name, value, typed = assignment(f"wet.voice={text}")
    send(quiet, op="set", node="wet", name=name, value=value, typed=typed)
    assert reply(quiet, "wet", ok=True, result={})["ok"]
    assert quiet.parts.state.nodes["wet"].settings.voice == text.strip("'"), "as `run --set` has it"


@pytest.mark.parametrize(("text", "value"), [("-6", -6.0), ("1e3", 1000.0), ("0x10", 16.0)])
def test_one_that_is_a_number_is_what_yaml_makes_of_it(quiet: Quiet, text: str, value: float) -> None:
    _, name, given, typed = assignment(f"wet.level={text}")
    send(quiet, op="set", node="wet", name=name, value=given, typed=typed)
    reply(quiet, "wet", ok=True, result={})
    assert quiet.parts.state.nodes["wet"].settings.level == value


def test_a_client_that_types_nothing_sends_values(quiet: Quiet) -> None:
    """As the one in C does."""
    asked = {"v": VERSION, "token": quiet.token, "id": 1, "op": "set", "node": "wet", "name": "level", "value": 2}
    quiet.parts.receive(CLIENT, msgpack.packb(asked))
    reply(quiet, "wet", ok=True, result={})
    assert quiet.parts.state.nodes["wet"].settings.level == 2.0


@pytest.mark.parametrize("when", ["infs", "nans", "1e308s", str(1 << 62), "-1"])
def test_a_time_that_no_song_has_is_refused(when: str) -> None:
    with pytest.raises(ConfigError, match="expected TIME:NODE"):
        timed_assignment(f"{when}:wet.level=1", 48_000)


# -- what nodes do -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda ctx: ctx.emit("wet", np.zeros((4, 2), np.float32), 0),
            "wet sends on 'wet', which is not among its declared outputs for sound: out",
        ),
        (
            lambda ctx: ctx.emit_gap("left", 4, 0),
            "wet sends on 'left', which is not among its declared outputs for sound",
        ),
        (
            lambda ctx: ctx.emit_idle("left", 0),
            "wet sends on 'left', which is not among its declared outputs for sound",
        ),
        (
            lambda ctx: ctx.event("out", "note", 0),
            "wet sends on 'out', which is not among its declared event outputs: none",
        ),
        (
            lambda ctx: ctx.event("notes", "note", 0),
            "wet sends on 'notes', which is not among its declared event outputs",
        ),
        (lambda ctx: ctx.count("words", 1.5), "wet counts 1.5 as 'words', expected a whole number"),
        (lambda ctx: ctx.count("words", 1 << 70), "as 'words', expected a whole number"),
        (lambda ctx: ctx.gauge("pitch", "high"), "wet shows 'high' as 'pitch', expected a number"),
        (lambda ctx: ctx.gauge("pitch", None), "wet shows None as 'pitch', expected a number"),
    ],
)
def test_what_a_node_did_not_declare_is_one_sentence(call: Any, said: str) -> None:
    with local() as graph, pytest.raises(NodeError) as caught:
        call(graph.runners["wet"].ctx)
    assert said in str(caught.value) and len(str(caught.value)) < 300


def test_names_of_figures_are_cut_where_nobody_would_read_them() -> None:
    with local() as graph:
        ctx = graph.runners["wet"].ctx
        for name in ("x" * 100_000, "a\tb\nc\0", "", "é" * 100):
            ctx.count(name)
            ctx.gauge(name, 1.0)
        board = graph.board("wet")
        assert board[f"count.{'x' * 100}"] == 1 and board["gauge.a b c"] == 1.0


def test_a_run_that_is_over_says_so_to_whoever_waits(quiet: Quiet) -> None:
    send(quiet, op="set", node="wet", name="level", value=1.0)
    quiet.parts.node_requests.forget()
    assert quiet.answers == [{"id": 1, "ok": False, "error": "the pipeline ended"}]
    assert quiet.parts.state.nodes["wet"].settings.level == 0.0


def test_the_phase_decides_who_is_asked(quiet: Quiet) -> None:
    record = quiet.parts.state.nodes["wet"]
    record.phase, record.child = Phase.ENDED, None
    assert refused(quiet, op="set", node="wet", name="level", value=1.0) == "wet has ended, and so has its process"
    assert refused(quiet, op="set", node="wet", name="level", value=1.0, at=5) and record.schedule == []
    assert refused(quiet, op="set", node="west", name="level", value=1.0).startswith("unknown node 'west'")
