"""What the runner measures of itself and of the sound: ages by path, the worst frame, waiting, work. Virtual time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from audio_pipeline.metrics import Reading
from audio_pipeline.supervisor.board_readings import Boards
from audio_pipeline.supervisor.local import LocalGraph
from audio_pipeline.supervisor.state import link_ledger, node_ledger, path_descriptions, path_ledgers
from tests.engine.graphs import graph_of
from tests.plain_state import measured_map

FRAME_MS = 10.0
SECOND = 1_000_000_000
TWO_SOURCES = """
song: {kind: noise, seed: 1}
late: {kind: delay, hop: 4096, in: song}
voice: {kind: noise, seed: 2, ahead: false}
mix:
  kind: sum
  inputs:
    song: {from: late, on_loss: silence}
    voice: {from: voice, on_loss: silence}
gain: {kind: fader, in: mix}
out: {kind: sink, inputs: {a: gain}}
"""


class Measured(LocalGraph):
    """A graph and what its boards say."""

    def play(self, seconds: float) -> None:
        self.run_until(self.clock.now_ns() + round(seconds * SECOND))

    def boards(self) -> dict[str, Boards]:
        return {name: Boards((), Reading(Path(runner.job.board))) for name, runner in self.runners.items()}

    def path(self, *names: str) -> dict[str, Any]:
        (found,) = [path for path in path_ledgers(self.run.plan, self.boards()) if path.path == names]
        (stated,) = [path for path in path_descriptions(self.run.plan) if path.path == names]
        return {**asdict(stated), "measured": measured_map(found.measured)}

    def node(self, name: str) -> Mapping[str, Any]:
        return asdict(node_ledger(self.boards()[name]))


@pytest.fixture
def two_sources(tmp_path: Path) -> Iterator[Measured]:
    with Measured(graph_of(TWO_SOURCES), tmp_path, live=True) as made:
        made.play(3)
        assert isinstance(made, Measured)
        yield made


def test_each_path_is_measured_by_the_age_of_its_own_source_through_a_mixer(two_sources: Measured) -> None:
    """A mix is as old as its oldest input, yet the voice in it is young: one number a frame would hide that."""
    song = two_sources.path("song", "late", "mix", "gain", "out")
    voice = two_sources.path("voice", "mix", "gain", "out")
    assert song["measured"]["p50"] > 85 > 3 * FRAME_MS > voice["measured"]["p50"] > FRAME_MS / 1.075  # a bin
    for path in (song, voice):
        assert path["measured"]["count"] > 200
        # the table allows 1 ms a link that virtual time does not take, and bins are 25 % wide
        assert path["measured"]["max"] == pytest.approx(path["stated_ms"], abs=FRAME_MS + 4)
        assert path["measured"]["p50"] <= path["measured"]["p99"] <= path["measured"]["max"]


def test_the_worst_frame_of_a_path_is_named(two_sources: Measured) -> None:
    calm = two_sources.path("voice", "mix", "gain", "out")["measured"]["max"]
    two_sources.work_ms["out"] = 0.0
    two_sources.hold_up("out", 200)
    two_sources.play(1)
    measured = two_sources.path("voice", "mix", "gain", "out")["measured"]
    worst = measured["worst"]
    assert worst["age_ms"] == measured["max"] > calm + 50
    assert (worst["from"], worst["to"], worst["epoch"]) == ("gain.out", "out.a", 1)
    (frame,) = [frame for frame in two_sources.runners["out"].node.frames["a"] if frame.seq == worst["seq"]]
    assert frame.position == worst["position"]
    (link,) = [link for link in two_sources.run.plan.links if str(link.target) == "out.a"]
    ledger = link_ledger(link, two_sources.boards())
    assert ledger.worst is not None and ledger.worst.seq == worst["seq"], "on the link it was the oldest too"


def test_a_chain_without_a_mixer_is_measured_by_its_frames_alone(tmp_path: Path) -> None:
    nodes = "song: {kind: noise}\nlate: {kind: delay, hop: 480, in: song}\nout: {kind: sink, inputs: {a: late}}"
    with Measured(graph_of(nodes), tmp_path, live=True) as graph:
        graph.play(1)
        path = graph.path("song", "late", "out")
        assert path["measured"]["count"] > 90 and path["measured"]["worst"]["to"] == "out.a"
        assert not any(frame.sources for frame in graph.runners["out"].node.frames["a"])


def test_a_path_on_which_nothing_has_come_has_no_measure(tmp_path: Path) -> None:
    with Measured(graph_of(TWO_SOURCES), tmp_path, live=True) as graph:
        assert graph.path("voice", "mix", "gain", "out")["measured"] is None


def test_a_mixer_that_is_held_up_has_waited(two_sources: Measured) -> None:
    assert two_sources.node("mix")["wait"]["max"] < 1.0, "in virtual time it is there when its frame is due"
    before = two_sources.node("mix")["wait"]
    two_sources.hold_up("mix", 30)
    two_sources.play(1)
    after = two_sources.node("mix")["wait"]
    assert 15 <= after["max"] <= 30, "due every 10 ms, begun 30 ms later"
    assert after["count"] - before["count"] == pytest.approx(100, abs=3)
    assert after["sum_ms"] == pytest.approx(sum((20, 10)) + after["max"] - 20, abs=25)


def test_the_burst_of_a_lead_is_not_waiting(two_sources: Measured) -> None:
    """After a start half a second is sent at once: all of it is early, however the schedule counts."""
    assert two_sources.node("song")["wait"]["max"] < 1.0
    assert two_sources.node("song")["wait"]["count"] > 250


def test_offline_nothing_is_due_so_nothing_waits(tmp_path: Path) -> None:
    nodes = "song: {kind: noise, seconds: 1}\nout: {kind: sink, inputs: {a: song}}"
    with Measured(graph_of(nodes), tmp_path) as graph:
        graph.run_to_end()
        assert graph.node("song")["wait"]["count"] == graph.node("out")["wait"]["count"] == 0
        assert graph.node("out")["work"]["count"] > 0


def test_what_a_device_brings_waits_from_the_call_of_its_thread(tmp_path: Path) -> None:
    with Measured(
        graph_of("voice: {kind: noise, ahead: false}\nout: {kind: sink, inputs: {a: voice}}"), tmp_path, live=True
    ) as graph:
        graph.play(0.105)
        before = graph.node("voice")["wait"]
        ctx = graph.runners["voice"].ctx
        ctx.wake()
        ctx.wake()
        graph.clock.advance_to(graph.clock.now_ns() + 3_000_000)
        graph.runners["voice"].step()
        after = graph.node("voice")["wait"]
        assert after["count"] - before["count"] == 1, "once for both calls"
        assert after["sum_ms"] - before["sum_ms"] == pytest.approx(3.0)
