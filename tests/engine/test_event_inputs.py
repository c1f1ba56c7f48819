"""Inputs for events: of sources too, from other nodes and from outside."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audio_pipeline.control.client import Client
from audio_pipeline.errors import ConfigError, ControlError
from audio_pipeline.graph.plan import Plan
from audio_pipeline.node import Latency
from audio_pipeline.supervisor.local import LocalGraph
from audio_pipeline.supervisor.supervisor import Supervisor
from audio_pipeline.worker import commands
from tests.engine.graphs import graph_of
from tests.engine.test_control import wait_for_running
from tests.patience import PATIENCE_S

NODES = """
song: {kind: noise, seconds: 1}
beat: {kind: beats, in: song}
voice: {kind: answers, inputs: {beats: beat.beats}}
out: {kind: sink, inputs: {a: voice}}
"""
ALONE = """
voice: {kind: answers}
out: {kind: sink, inputs: {a: voice}}
"""


def test_offline_a_source_answers_every_event_and_ends(tmp_path: Path) -> None:
    with LocalGraph(graph_of(NODES), tmp_path) as graph:
        graph.run_to_end()
        node: Any = graph.runners["voice"].node
        sink: Any = graph.runners["out"].node
    assert node.heard == list(range(0, 48_000, 4_800))
    assert sum(frame.samples for frame in sink.frames["a"]) == 10


def test_live_a_source_goes_on_when_those_that_it_hears_have_ended(tmp_path: Path) -> None:
    with LocalGraph(graph_of(NODES), tmp_path, live=True) as graph:
        graph.run_until(graph.clock.now_ns() + 2_000_000_000)
        voice = graph.runners["voice"]
        node: Any = voice.node
        assert node.over and len(node.heard) == 10 and not voice.ended


def test_nobody_waits_for_a_source_that_has_ended_to_hear_events(tmp_path: Path) -> None:
    with LocalGraph(graph_of(NODES.replace("seconds: 1", "seconds: 100")), tmp_path, live=True) as graph:
        graph.run_until(graph.clock.now_ns() + 500_000_000)
        graph.command("voice", commands.Finish())
        graph.run_until(graph.clock.now_ns() + 2_000_000_000)
        graph.command("song", commands.Finish())
        graph.run_until(graph.clock.now_ns() + 500_000_000)
        assert all(runner.ended for runner in graph.runners.values())
        assert all(out.port.drained for runner in graph.runners.values() for out in runner.outputs)
        node: Any = graph.runners["voice"].node
        lost = graph.board("voice")["in.beat.beats>beats.dropped.cancelled"]
    assert 4 <= len(node.heard) <= 6 and lost >= 19


def test_sound_gets_neither_positions_nor_latency_from_events() -> None:
    graph = graph_of(NODES)
    plan = Plan(graph, dict.fromkeys(graph.nodes, Latency()), live=True)
    assert plan.timelines["voice"] == "voice" and plan.timelines["out"] == "voice"
    assert [path.names for path in plan.paths] == [("song", "beat"), ("voice", "out")]
    assert {str(link.target): link.policy for link in plan.links}["voice.beats"] == "block"


def test_an_event_input_may_be_left_unconnected() -> None:
    assert not graph_of(ALONE).nodes["voice"].inputs


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("beats: song", "song.out carries sound, but answers expects events here"),
        ("beets: beat.beats", "answers has no input 'beets', did you mean 'beats'"),
    ],
)
def test_what_does_not_fit_is_said(line: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        graph_of(NODES.replace("beats: beat.beats", line))


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Of a real pipeline."""
    with tempfile.TemporaryDirectory(prefix="r") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        supervisor = Supervisor(graph_of(ALONE, name="hears"), folder=Path(folder))
        supervisor.start()
        made = supervisor.client()
        try:
            wait_for_running(made)
            yield made
        finally:
            made.close()
            supervisor.stop()
            assert supervisor.wait(PATIENCE_S) and supervisor.exit_code == 0


def counters(client: Client) -> dict[str, int]:
    found: dict[str, int] = client.ledger().nodes["voice"].counters
    return found


def test_an_event_from_outside_is_heard_before_it_is_answered(client: Client) -> None:
    before = counters(client).get("heard", 0)
    answer = client.send("voice", "beats", "beat", text="x")
    assert answer.position is not None and answer.position >= 0 and (answer.heard_in_ms or 0.0) >= 0
    assert counters(client)["heard"] == before + 1


@pytest.mark.parametrize(
    ("node", "port", "event", "said"),
    [
        (
            "voice",
            "beets",
            {"kind": "beat"},
            "takes no events on 'beets', did you mean 'beats'.*event inputs are beats",
        ),
        ("out", "a", {"kind": "beat"}, "event inputs are none"),
        ("who", "a", {"kind": "x"}, "unknown node 'who'"),
        ("voice", "beats", {"text": "x"}, "expected a map with a text 'kind'"),
        ("voice", "beats", "x", "send.event: expected a map"),
        ("voice", "beats", {"kind": "x", "text": "x" * 70_000}, "expected at most 65536"),
    ],
)
def test_what_cannot_be_heard_is_refused_with_a_sentence(
    client: Client, node: str, port: str, event: Any, said: str
) -> None:
    with pytest.raises(ControlError, match=said):
        client.request("send", node=node, port=port, event=event)


def test_cancel_reaches_the_source_with_a_new_generation(client: Client) -> None:
    client.transport("voice", "cancel")
    assert counters(client)["cancels"] == 1
    assert client.meters().nodes["voice"].state == "running"
