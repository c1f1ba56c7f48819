"""Keys of every node: how its process runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from audio_pipeline.errors import ConfigError
from audio_pipeline.graph.edit import edited, rebuilt
from audio_pipeline.graph.groups import processes, shared_key
from audio_pipeline.graph.load import build_graph, loads
from audio_pipeline.graph.node_keys import NodeKeys, usable_cpus
from audio_pipeline.graph.types import Graph
from audio_pipeline.graph.yamlfile import parse_yaml
from audio_pipeline.graph_changes import changes_in
from audio_pipeline.places import Places
from tests.engine.graphs import graph_of, text_of

CORE = usable_cpus()[0]
README = Path(__file__).parents[2] / "README.md"


def keys_of(text: str) -> NodeKeys:
    return graph_of(f"a: {{kind: noise, {text}}}").nodes["a"].keys


def said(nodes: str) -> str:
    with pytest.raises(ConfigError) as error:
        graph_of(nodes)
    return str(error.value)


def test_keys_stand_beside_the_settings_of_the_kind() -> None:
    keys = keys_of(
        f"seconds: 2, optional: true, process: light, cpus: [{CORE}], nice: -5, realtime: 20, "
        f"memory_mb: 500, start_s: 20, python: {sys.executable}"
    )
    assert keys == NodeKeys(True, "light", sys.executable, (CORE,), -5, 20, 500.0, 20.0)
    assert keys_of("seconds: 2") == NodeKeys()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            "cpus: [9999]",
            f"nodes.a.cpus: this host lets us use the cores {', '.join(map(str, usable_cpus()))}, got 9999",
        ),
        ("cpus: []", "nodes.a.cpus: expected at least one of this host's cores ("),
        ("cpus: 1", "nodes.a.cpus: expected a list, got 1"),
        ("cpus: [-1]", "nodes.a.cpus.0: expected a whole number >= 0, got -1"),
        ("nice: 20", "nodes.a.nice: expected a whole number >= -20 and <= 19, got 20"),
        ("realtime: 0", "nodes.a.realtime: expected a whole number >= 1 and <= 99, got 0"),
        ("memory_mb: 1", "nodes.a.memory_mb: expected a number >= 16, got 1"),
        ("start_s: 0", "nodes.a.start_s: expected a number >= 0.1 and <= 86400, got 0"),
        (
            "process: My group",
            "nodes.a.process: a group's name is a lower-case letter, then letters, digits or _; got 'My group'",
        ),
        ("process: ../x", "nodes.a.process: a group's name is a lower-case letter"),
        (
            "python: /nowhere/bin/python",
            "nodes.a.python: there is no interpreter '/nowhere/bin/python'; make the "
            "environment first (python3 -m venv /nowhere) (p.yaml:5)",
        ),
        (f"python: {README}", f"nodes.a.python: '{README}' may not be executed; expected a Python interpreter"),
        ("nise: 3", "nodes.a.nise: unknown key"),
    ],
)
def test_wrong_keys_are_answered_with_one_sentence(keys: str, words: str) -> None:
    assert said(f"a: {{kind: noise, {keys}}}").startswith(words)


def test_the_nodes_of_a_group_are_one_process() -> None:
    graph = graph_of(
        "a: {kind: noise, process: light, nice: 5}\nb: {kind: delay, in: a, process: light}\nc: {kind: delay, in: b}"
    )
    assert processes(graph) == {"light": ["a", "b"], "c": ["c"]}
    assert shared_key(graph, ["a", "b"], "nice") == 5
    assert shared_key(graph, ["c"], "nice") is None


def test_nodes_of_a_group_agree_on_their_process() -> None:
    nodes = "a: {kind: noise, process: light, nice: 5}\nb: {kind: delay, in: a, process: light, nice: 6}"
    assert said(nodes) == "nodes.b.nice: b shares a process with a, which has 5; got 6 (p.yaml:6)"


def test_a_group_is_not_called_like_a_node() -> None:
    nodes = "a: {kind: noise, process: b}\nb: {kind: delay, in: a}"
    assert said(nodes) == "nodes.a.process: a group cannot have the name of a node, got 'b' (p.yaml:5)"


# -- what may come over the network -------------------------------------------------------------------


def trusted() -> tuple[Graph, dict[str, Any]]:
    text = text_of(f"a: {{kind: noise, python: {sys.executable}}}\nb: {{kind: delay, in: a}}")
    return loads(text), parse_yaml(text, "net")[0]


def test_an_edit_over_the_network_may_repeat_what_the_file_says() -> None:
    base, raw = trusted()
    raw["nodes"]["c"] = {"kind": "delay", "in": "b", "nice": 3}
    assert build_graph(raw, Places("net"), trusted=False, base=base).nodes["c"].keys.nice == 3


@pytest.mark.parametrize(
    ("node", "body"),
    [
        ("b", {"kind": "delay", "in": "a", "python": sys.executable}),
        ("a", {"kind": "noise", "python": "/bin/sh"}),
        ("a", {"kind": "delay", "in": "b", "python": sys.executable}),
        ("c", {"kind": "noise", "python": ["x"]}),
    ],
)
def test_an_edit_over_the_network_chooses_no_interpreter(node: str, body: dict[str, Any]) -> None:
    base, raw = trusted()
    raw["nodes"][node] = body
    with pytest.raises(
        ConfigError, match=rf"^nodes\.{node}\.python: selects the code that runs, so only a file on this host "
    ):
        build_graph(raw, Places("net"), trusted=False, base=base)


@pytest.mark.parametrize("paths", [["/tmp"], [], 5, None])
def test_an_edit_over_the_network_names_no_folder_of_code(paths: object, tmp_path: Path) -> None:
    base, raw = trusted()
    raw["node_paths"] = paths
    with pytest.raises(ConfigError, match=r"^node_paths: selects the code that runs"):
        build_graph(raw, Places("net"), trusted=False, base=base)
    with pytest.raises(ConfigError, match=r"^node_paths: "):
        build_graph(raw | {"node_paths": [str(tmp_path)]}, Places("net"), trusted=False)


def test_a_change_of_a_running_graph_chooses_no_interpreter_but_may_be_undone() -> None:
    graph = trusted()[0]
    added = {"op": "add", "name": "d", "node": {"kind": "noise", "python": sys.executable}}
    with pytest.raises(ConfigError, match=r"^nodes\.d\.python: selects the code that runs"):
        edited(graph, changes_in([added]))
    moved = [{"op": "add", "name": "c", "node": {"kind": "noise"}}, {"op": "connect", "from": "c", "to": "b"}]
    without = edited(graph, changes_in([*moved, {"op": "remove", "name": "a"}]))
    assert "a" not in without.nodes
    assert rebuilt(without, graph.raw).nodes["a"].keys.python == sys.executable, "the file said so once"
