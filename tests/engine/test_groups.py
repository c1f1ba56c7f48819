"""Groups of nodes in one process: which ones the loader makes by itself, and which nodes stay apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from audio_pipeline.cli.check import describe
from audio_pipeline.errors import ConfigError
from audio_pipeline.graph.edit import edited
from audio_pipeline.graph.groups import MAX_MEMBERS, group_name, processes
from audio_pipeline.graph.load import build_graph
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.graph.registry import kinds
from audio_pipeline.graph.types import Graph
from audio_pipeline.graph_changes import changes_in
from audio_pipeline.supervisor.jobs import Run, make_job
from tests.engine.graphs import graph_of

CHAIN = """
song: {kind: noise}
a: {kind: fader, in: song}
b: {kind: fader, in: a}
slow: {kind: delay, in: b}
c: {kind: fader, in: slow}
"""


def auto(nodes: str) -> Graph:
    return graph_of(nodes, process="auto")


def groups(graph: Graph) -> list[list[str]]:
    return [members for members in processes(graph).values() if len(members) > 1]


def test_light_nodes_that_are_linked_share_a_process() -> None:
    assert processes(auto(CHAIN)) == {"song": ["song"], "a+b": ["a", "b"], "slow": ["slow"], "c": ["c"]}


def test_without_auto_every_node_has_a_process_of_its_own() -> None:
    assert groups(graph_of(CHAIN)) == []


def test_a_node_joins_the_groups_of_all_its_light_producers() -> None:
    graph = auto(
        "x: {kind: noise}\ny: {kind: noise}\na: {kind: fader, in: x}\nb: {kind: fader, in: y}\n"
        "mix: {kind: sum, inputs: {a: {from: a}, b: {from: b}}}\nlone: {kind: fader, in: x}"
    )
    assert groups(graph) == [["a", "b", "mix"]], "light, but linked with none of them: lone"
    assert graph.nodes["mix"].process == "a+2" and graph.nodes["lone"].process == "lone"


@pytest.mark.parametrize("key", ["process: own", "process: other", "optional: true", "nice: 3", "memory_mb: 500"])
def test_a_node_that_states_how_it_runs_stays_apart(key: str) -> None:
    graph = auto(CHAIN.replace("b: {kind: fader,", f"b: {{kind: fader, {key},"))
    assert groups(graph) == []


def test_a_single_node_may_ask_for_it_where_the_file_does_not() -> None:
    graph = graph_of(CHAIN.replace("kind: fader,", "kind: fader, process: auto,"))
    assert groups(graph) == [["a", "b"]]


def test_weights_and_devices_keep_a_light_kind_apart() -> None:
    vad = "m: {kind: meter, in: song}\nv: {kind: vad, engine: ENGINE, in: m}\nsong: {kind: noise}"
    assert groups(auto(vad.replace("ENGINE", "webrtc"))) == [["m", "v"]]
    assert groups(auto(vad.replace("ENGINE", "silero"))) == []


def test_no_bundled_kind_that_is_light_has_a_device_a_service_or_listeners() -> None:
    light = {name: cls for name, cls in kinds().items() if cls.light}
    assert set(light) == {"bridge", "key", "meter", "mixer", "vad"}
    assert not any(cls.clock_source or cls.audible or cls.service or cls.remote_input for cls in light.values())


KARAOKE = """
song: {kind: file_source}
split: {kind: separate, in: song}
voice: {kind: tts}
meter: {kind: meter, in: song}
gate: {kind: gateway, listen: "127.0.0.1:0"}
"""


def shared(nodes: str = KARAOKE, **top: object) -> Graph:
    return graph_of(nodes, host="shared", **top)


def test_on_a_shared_host_what_computes_little_is_one_process() -> None:
    """The network of the separator runs in a process of the host; a voice computes itself, a gateway faces others."""
    graph = shared()
    assert groups(graph) == [["song", "split", "meter"]]
    assert graph.nodes["split"].settings.worker == "served" and graph.shares_workers
    assert graph_of(KARAOKE).nodes["split"].settings.worker == "own" and not graph_of(KARAOKE).shares_workers


@pytest.mark.parametrize("said", ["worker: own", "mode: offline"])
def test_a_separator_that_computes_itself_stays_apart(said: str) -> None:
    graph = shared(KARAOKE.replace("kind: separate,", f"kind: separate, {said},"))
    assert groups(graph) == [["song", "meter"]]
    assert graph.nodes["split"].settings.worker == "own"


@pytest.mark.parametrize("key", ["process: own", "process: other", "optional: true", "nice: 3", "memory_mb: 500"])
def test_what_a_node_states_of_its_process_holds_on_a_shared_host(key: str) -> None:
    graph = shared(KARAOKE.replace("kind: meter,", f"kind: meter, {key},"))
    assert groups(graph) == [["song", "split"]]


def test_a_shared_host_makes_groups_of_the_same_size() -> None:
    many = MAX_MEMBERS + 3
    found = processes(shared("\n".join(f"n{i}: {{kind: noise}}" for i in range(many))))
    assert [len(members) for members in found.values()] == [MAX_MEMBERS, 3]


def test_check_gives_the_reason_for_a_shared_process() -> None:
    graph = shared()
    text = "\n".join(describe(graph, make_plan(graph, live=True)))
    assert "song, split, meter  one process: nodes that compute little (host: shared)" in text


def test_a_node_that_is_added_on_a_shared_host_is_served_in_a_process_of_its_own() -> None:
    graph = shared()
    raw = {**graph.raw, "nodes": {**graph.raw["nodes"], "warm": {"kind": "separate", "in": "song", "mode": "low"}}}
    changed = build_graph(raw, graph.places, base=graph)
    assert changed.nodes["warm"].process == "warm" and changed.nodes["warm"].settings.worker == "served"
    assert groups(changed) == groups(graph)


def test_a_long_chain_becomes_several_groups() -> None:
    many = 2 * MAX_MEMBERS + 1
    nodes = ["n0: {kind: fader, in: song}"] + [f"n{i}: {{kind: fader, in: n{i - 1}}}" for i in range(1, many)]
    found = processes(auto("\n".join(["song: {kind: noise}", *nodes])))
    assert [len(members) for members in found.values()] == [1, MAX_MEMBERS, MAX_MEMBERS, 1]
    assert list(found) == ["song", f"n0+{MAX_MEMBERS - 1}", f"n{MAX_MEMBERS}+{MAX_MEMBERS - 1}", f"n{many - 1}"]


def test_names_of_automatic_groups_are_no_names_of_nodes() -> None:
    assert group_name(["bridge", "mix"]) == "bridge+mix" and group_name(["a", "b", "c"]) == "a+2"
    with pytest.raises(ConfigError, match=r"^nodes\.a\.process: a group's name is"):
        graph_of("a: {kind: noise, process: a+b}")


def test_file_takes_own_and_auto_only() -> None:
    with pytest.raises(ConfigError, match=r"^process: expected one of own, auto, got 'light'"):
        graph_of(CHAIN, process="light")


# -- changes while it plays ---------------------------------------------------------------------------


def test_nodes_that_play_stay_where_they_are_and_new_ones_get_a_process_of_their_own() -> None:
    graph = auto(CHAIN)
    added = {"op": "add", "name": "d", "node": {"kind": "fader", "in": "a"}}
    moved = {"op": "connect", "from": "d", "to": "b"}
    then = edited(graph, changes_in([added, moved]))
    assert then.nodes["d"].process == "d" and groups(then) == [["a", "b"]]
    apart = edited(then, changes_in([{"op": "connect", "from": "song", "to": "b"}]))
    assert groups(apart) == [["a", "b"]], "their process goes on, whatever links them"


def test_a_member_that_left_and_comes_back_has_a_process_of_its_own() -> None:
    graph = auto(CHAIN)
    without = edited(graph, changes_in([{"op": "connect", "from": "a", "to": "slow"}, {"op": "remove", "name": "b"}]))
    back = edited(without, changes_in([{"op": "add", "name": "b", "node": {"kind": "fader", "in": "a"}}]))
    assert without.nodes["a"].process == "a+b" and back.nodes["b"].process == "b"


# -- what follows from a group ------------------------------------------------------------------------


def test_links_inside_a_group_stay_inside_its_process(tmp_path: Path) -> None:
    run = Run(make_plan(auto(CHAIN)), tmp_path, tmp_path, lambda port: f"ipc://{port}")
    assert make_job(run, "b").inputs[0].endpoint.startswith("inproc:")
    assert make_job(run, "slow").inputs[0].endpoint == "ipc://b.out"
    apart = run.with_apart("b")
    assert make_job(apart, "b").inputs[0].endpoint == "ipc://a.out"


def test_check_lists_groups_and_the_reason() -> None:
    def page(graph: Graph) -> str:
        return "\n".join(describe(graph, make_plan(graph)))

    text = page(auto(CHAIN.replace("c: {kind: fader,", "c: {kind: fader, process: mine,")))
    assert "Processes: 4 for 5 nodes" in text and "slow (delay)" in text
    assert "a+b   a, b  one process: light nodes that are linked (process: auto)" in text
    assert "mine  c     one process, as the file names it" in text
    assert "b (fader, in process a+b)" in text
    assert "Processes:" not in page(graph_of(CHAIN))
