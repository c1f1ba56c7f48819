from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.errors import ConfigError
from audio_pipeline.graph.plan import LinkPlan, Plan, make_plan
from audio_pipeline.node import Latency
from audio_pipeline.supervisor.local import LocalGraph
from tests.engine.graphs import graph_of, noise

RATE = 48_000
DIAMOND = """
song: {{kind: noise, seconds: 3}}
late: {{kind: delay, hop: {hop}, in: song}}
mix:
  kind: sum
  inputs:
    wet: {{from: late, on_loss: bypass}}
    dry: {{from: song, on_loss: silence{budget}}}
out: {{kind: speaker, in: {{from: mix, on_loss: silence}}}}
"""


def diamond(hop: int = 4800, budget: str = "", *, live: bool = True, **top: object) -> Plan:
    return make_plan(graph_of(DIAMOND.format(hop=hop, budget=budget), **top), live=live)


def link(plan: Plan, target: str) -> LinkPlan:
    (found,) = [link for link in plan.links if str(link.target) == target]
    return found


# -- latency -----------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 50_000), max_size=6), st.sampled_from([5, 10, 20]))
def test_the_latency_of_a_chain_is_the_sum_of_its_terms(hops: list[int], frame_ms: int) -> None:
    """The source's frame, a hop of 1 ms a link, and each node's own samples with a frame of re-framing."""
    nodes = ["n0: {kind: noise}"]
    nodes += [f"n{i + 1}: {{kind: delay, hop: {hop}, in: n{i}}}" for i, hop in enumerate(hops)]
    (path,) = make_plan(graph_of("\n".join(nodes), frame_ms=frame_ms)).paths
    assert path.names == tuple(f"n{i}" for i in range(len(hops) + 1))
    assert math.isclose(path.total_ms, sum(path.terms_ms.values()))
    assert math.isclose(path.total_ms, frame_ms + sum(1 + hop / 48 + frame_ms for hop in hops))


def test_all_paths_through_a_mixer_are_as_long_as_the_slowest() -> None:
    totals = {path.names: path.total_ms for path in diamond().paths}
    assert set(totals) == {("song", "late", "mix", "out"), ("song", "mix", "out")}
    assert len(set(totals.values())) == 1


def test_the_truth_replaces_the_estimate() -> None:
    graph = graph_of("song: {kind: noise}\nlate: {kind: delay, hop: 480, in: song}")
    before = make_plan(graph).paths[0].total_ms
    after = make_plan(graph, {"late": Latency(window=480, lookahead=240, hop=480, compute=96)}).paths[0].total_ms
    assert math.isclose(after - before, (1296 - 480) / 48)


def test_a_path_over_its_budget_is_named() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^budget_ms: path song -> late -> mix -> out takes 131 ms, the limit is 130 ms \(p\.yaml:4\)$",
    ):
        diamond(budget_ms=130)
    assert diamond(budget_ms=131).paths[0].total_ms == 131
    diamond(budget_ms=130, live=False)


MONITOR = """
mic: {kind: mic}
song: {kind: noise}
late: {kind: delay, hop: 48000, in: song}
mix: {kind: sum, inputs: {mic: {from: mic, on_loss: silence}, song: {from: late, on_loss: silence}}}
out: {kind: speaker, in: {from: mix, on_loss: silence}}
rec: {kind: sink, inputs: {a: mix}}
"""


def test_the_monitor_path_comes_first_and_waits_for_nobody() -> None:
    """A second of latency beside it does not slow the singer's own voice."""
    first, *others = make_plan(graph_of(MONITOR)).paths
    assert first.names == ("mic", "mix", "out") and first.monitor and first.budget_ms == 25
    assert not any(path.monitor for path in others) and others[0].total_ms > 1000
    alone = make_plan(graph_of(MONITOR.replace(", song: {from: late, on_loss: silence}", ""))).paths[0]
    assert first.total_ms == alone.total_ms <= 25


def test_a_monitor_path_over_its_budget_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"^monitor_budget_ms: path mic -> mix -> out takes 41 ms, the limit is 25 ms"
    ):
        make_plan(graph_of(MONITOR, frame_ms=20))
    make_plan(graph_of(MONITOR, frame_ms=20, monitor_budget_ms=41))


# -- alignment ---------------------------------------------------------------------------------------


@given(st.integers(1, 600_000), st.sampled_from([1, 5, 10, 20, 100]), st.booleans())
def test_the_shorter_branch_gets_room_for_the_difference_and_the_largest_burst(hop: int, ms: int, live: bool) -> None:
    plan = diamond(hop, frame_ms=ms, live=live)
    wet, dry = link(plan, "mix.wet"), link(plan, "mix.dry")
    assert dry.align_samples - plan.leads_ms[wet.timeline] * 48 >= (wet.latency_ms - dry.latency_ms) * 48
    assert wet.align_samples >= hop + plan.graph.frame_samples
    assert wet.window * plan.frame_ms >= (hop / 48 if live else 0) + plan.frame_ms
    standby = link(plan, "mix.wet~bypass")
    assert standby.standby and str(standby.source) == "song.out" and standby.align_samples == dry.align_samples


@given(st.integers(480, 200_000), st.sampled_from([5, 10, 20]))
def test_a_budget_that_is_too_small_names_the_smallest_that_works(hop: int, frame_ms: int) -> None:
    with pytest.raises(ConfigError) as error:
        diamond(hop, ", budget_ms: 1", frame_ms=frame_ms)
    said = str(error.value)
    assert said.startswith("nodes.mix.inputs.dry.budget_ms: 1 ms cannot hold") and "(p.yaml:12)" in said
    smallest = int(re.search(r"smallest budget that works is (\d+) ms", said)[1])  # type: ignore[index]
    assert link(diamond(hop, f", budget_ms: {smallest}", frame_ms=frame_ms), "mix.dry").budget_ms == smallest
    with pytest.raises(ConfigError, match=f"works is {smallest} ms"):
        diamond(hop, f", budget_ms: {smallest - 1}", frame_ms=frame_ms)


def test_offline_no_budget_is_too_small() -> None:
    diamond(200_000, ", budget_ms: 1", live=False)


def test_a_short_in_is_called_as_the_file_says_it() -> None:
    with pytest.raises(ConfigError, match=r"^nodes\.a\.in\.budget_ms: 1 ms cannot hold .* \(p\.yaml:6\)$"):
        make_plan(graph_of("song: {kind: noise}\na: {kind: delay, in: {from: song, budget_ms: 1}}"))


def test_a_source_leads_by_the_slowest_way_to_where_its_sound_is_joined() -> None:
    """Arrival over the slowest branch, less the source's own frame, and two frames in hand; a microphone cannot."""
    plan = diamond()
    slowest = link(plan, "mix.wet").latency_ms
    assert plan.leads_ms == {"song": slowest - 10 + 20, "late": 0, "mix": 0, "out": 0}
    assert make_plan(graph_of(MONITOR)).leads_ms["mic"] == 0
    assert set(diamond(live=False).leads_ms.values()) == {0}


def test_live_links_run_as_the_file_says_and_offline_none_loses() -> None:
    nodes = "song: {kind: noise}\na: {kind: sink, inputs: {x: {from: song, policy: latest}, y: song}}"
    for live, policies in ((True, ["latest", "drop_oldest"]), (False, ["lossless", "lossless"])):
        assert [link.policy for link in make_plan(graph_of(nodes), live=live).links] == policies


def test_a_recorder_that_comes_back_finds_ten_seconds_and_others_what_they_need() -> None:
    nodes = "song: {kind: noise}\na: {kind: sink, inputs: {x: {from: song, policy: POLICY}}}"
    for policy, seconds in (("block", 10), ("drop_oldest", 0)):
        plan = make_plan(graph_of(nodes.replace("POLICY", policy)))
        assert plan.history_samples("song", "out") == seconds * RATE
    plan = diamond()
    assert plan.history_samples("song", "out") >= link(plan, "mix.dry").align_samples + RATE
    assert diamond(live=False).history_samples("song", "out") == 0


# -- the reason for all this -------------------------------------------------------------------------


TO_SINK = "out: {{kind: sink, inputs: {{a: mix}}}}"
RECORDED = DIAMOND.replace("out: {{kind: speaker, in: {{from: mix, on_loss: silence}}}}", TO_SINK)


def dropped(graph: LocalGraph) -> dict[str, float]:
    """Every counter of a loss that is not 0."""
    losses = re.compile(r".*\.dropped\..*|count\.(late|concealed)_samples")
    boards = [(node, graph.board(node)) for node in graph.runners]
    return {
        f"{node}: {name}": board[name]
        for node, board in boards
        for name in board
        if board[name] and losses.fullmatch(name)
    }


def test_the_smallest_budget_carries_the_sound_without_a_loss(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        diamond(9600, ", budget_ms: 1")
    smallest = re.findall(r"works is (\d+) ms", str(error.value))[0]
    nodes = RECORDED.format(hop=9600, budget=f", budget_ms: {smallest}")
    with LocalGraph(graph_of(nodes), tmp_path, live=True) as graph:
        graph.run_until(graph.clock.now_ns() + 2_000_000_000)
        got = graph.runners["out"].node.sound("a")  # type: ignore[attr-defined]
        assert not dropped(graph)
    np.testing.assert_array_equal(got, 2 * noise(0, len(got)))
    assert len(got) >= 1.9 * RATE


def test_twelve_seconds_of_latency_beside_a_dry_branch_end_sample_exact(tmp_path: Path) -> None:
    """Spleeter's own segments take 11.9 s; with finite credit and no alignment buffer this deadlocks."""
    nodes = RECORDED.format(hop=524_288, budget="").replace("seconds: 3", "seconds: 15")
    with LocalGraph(graph_of(nodes, rate=44_100), tmp_path) as graph:
        graph.run_to_end()
        got = graph.runners["out"].node.sound("a")  # type: ignore[attr-defined]
    np.testing.assert_array_equal(got, 2 * noise(0, 15 * 44_100))
