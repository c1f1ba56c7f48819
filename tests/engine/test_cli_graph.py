"""`audio-pipeline graph` without a pipeline: what words mean, and graphs as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.cli.graph import read_changes
from audio_pipeline.errors import ConfigError
from audio_pipeline.graph.edit import edited
from audio_pipeline.graph.load import load, loads
from audio_pipeline.graph.text import graph_text, read_patch, save_graph
from audio_pipeline.graph_changes import Bypass, Remove, changes_in
from tests.engine.graphs import graph_of, text_of

GRAPH = """
song: {kind: noise}
a: {kind: fader, in: song}
mix: {kind: sum, inputs: {x: {from: a, on_loss: silence}}}
out: {kind: sink, inputs: {a: mix}}
"""


@pytest.mark.parametrize(
    "words,changes",
    [
        ("connect a mix.x", [{"op": "connect", "from": "a", "to": "mix.x", "keys": {}}]),
        (
            "connect a.out mix.y on_loss=silence gain=0.5",
            [{"op": "connect", "from": "a.out", "to": "mix.y", "keys": {"on_loss": "silence", "gain": 0.5}}],
        ),
        (
            "add b fader gain=1e-3 in=song + connect b mix.x",
            [
                {"op": "add", "name": "b", "node": {"kind": "fader", "gain": 0.001, "in": "song"}},
                {"op": "connect", "from": "b", "to": "mix.x", "keys": {}},
            ],
        ),
        (
            "disconnect mix.x + remove a + bypass a on",
            [
                {"op": "disconnect", "to": "mix.x"},
                {"op": "remove", "name": "a"},
                {"op": "bypass", "name": "a", "on": True},
            ],
        ),
    ],
)
def test_arguments_are_changes(words: str, changes: list[dict[str, Any]]) -> None:
    assert read_changes(words.split()) == list(changes_in(changes))


@pytest.mark.parametrize(
    "words,said",
    [
        (
            "conect a b",
            "expected one of connect, disconnect, add, remove, bypass, got 'conect', did you mean 'connect'?",
        ),
        ("connect a", "graph connect a: expected connect NODE[.OUT] NODE[.IN]"),
        ("bypass a maybe", "expected bypass NAME on|off"),
        ("remove a +", "got ''"),
        ("disconnect a x=1", "expected disconnect NODE.IN"),
    ],
)
def test_malformed_changes_are_refused(words: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_changes(words.split())
    assert said in str(error.value)


@pytest.mark.parametrize(
    "change,said",
    [
        ({"op": "connect", "from": "b", "to": "mix.x"}, "nodes.mix.inputs.x: unknown node 'b'"),
        ({"op": "connect", "from": "a", "to": "mox.x"}, "change 1 (connect): unknown node 'mox', did you mean 'mix'?"),
        (
            {"op": "connect", "from": "a", "to": "mix.y", "keys": {"on_lss": 1}},
            "nodes.mix.inputs.y.on_lss: unknown key",
        ),
        ({"op": "connect", "from": "out", "to": "a"}, "has no output"),
        ({"op": "connect", "from": "mix", "to": "a.in"}, "cycle through a, mix"),
        ({"op": "disconnect", "to": "mix.y"}, "'mix.y' is not connected"),
        ({"op": "disconnect", "to": "mix.x"}, "nodes.mix: sum needs at least one input"),
        ({"op": "add", "name": "a", "node": {"kind": "fader"}}, "there is a node 'a' already"),
        ({"op": "add", "name": "b", "node": {"kind": "fadr", "in": "song"}}, "unknown node kind 'fadr'"),
        ({"op": "add", "name": "b", "node": {"kind": "fader"}}, "nodes.b: input 'in' is not connected"),
        ({"op": "add", "name": "b", "node": {"kind": "fader", "in": "song", "gain": "x"}}, "nodes.b.gain: expected a"),
        ({"op": "remove", "name": "a"}, "nodes.mix.inputs.x: unknown node 'a'"),
        ({"op": "bypass", "name": "song", "on": True}, "cannot be bypassed"),
        ({"op": "bypass", "name": "a", "on": "yes"}, "changes.0.on: expected true or false, got 'yes'"),
        ({"op": "renam", "name": "a"}, "changes.0.op: expected one of connect, disconnect, add, remove, bypass, got"),
        ({"op": "remov", "name": "a"}, "got 'remov', did you mean 'remove'?"),
        ({"op": ["remove"], "name": "a"}, "changes.0.op: expected one of connect"),
        ({"op": "remove"}, "changes.0.name: missing, expected text"),
        ({"op": "remove", "name": "a", "force": True}, "changes.0.force: unknown key"),
        ({"op": "add", "name": "b", "node": "fader"}, "changes.0.node: expected a map"),
        ({"op": "connect", "from": "", "to": "mix.x"}, "nodes.mix.inputs.x"),
        ({"op": "connect", "from": "a", "to": ""}, "unknown node ''"),
        ("remove a", "changes.0: expected settings (key: value), got 'remove a'"),
    ],
)
def test_an_error_is_one_sentence_and_changes_nothing(change: Any, said: str) -> None:
    graph = graph_of(GRAPH)
    before = graph_text(graph.raw)
    with pytest.raises(ConfigError) as error:
        edited(graph, changes_in([change]))
    assert said in str(error.value) and "\n" not in str(error.value)
    assert graph_text(graph.raw) == before


def test_a_node_that_plays_stays_what_it_is() -> None:
    graph = graph_of(GRAPH)
    again = [{"op": "remove", "name": "a"}, {"op": "add", "name": "a", "node": {"kind": "delay", "in": "song"}}]
    with pytest.raises(ConfigError, match="nodes.a: what it is cannot be changed while it plays"):
        edited(graph, changes_in(again))


def test_a_saved_graph_is_the_graph(tmp_path: Path) -> None:
    words = "add b fader gain=0.25 in=song + connect b mix.y on_loss=hold"
    graph = edited(graph_of(GRAPH), read_changes(words.split()))
    path = save_graph(graph.raw, tmp_path / "new.yaml", force=False)
    again = load(path)
    assert again.nodes == graph.nodes and again.top == graph.top
    with pytest.raises(ConfigError, match="exists already; --force replaces it"):
        save_graph(graph.raw, path, force=False)
    save_graph(graph.raw, path, force=True)
    assert [item.name for item in tmp_path.iterdir()] == ["new.yaml"]
    with pytest.raises(ConfigError, match="cannot be written"):
        save_graph(graph.raw, tmp_path / "nowhere" / "x.yaml", force=False)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**60), 2**60)
        | st.floats(allow_nan=False)
        | st.text(max_size=8)
        | st.sampled_from(
            ["1e-3", "on", "2024-05-01", "~", "null", "0x10", "1_0", "a: b", "# c", "*x", "12:30:00", "<<"]
        ),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc_", min_size=1), inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_value_comes_back_from_yaml_or_is_refused(value: Any) -> None:
    raw = {"version": 1, "value": value}
    try:
        graph_text(raw)  # compares what comes back
    except ConfigError as error:
        assert "does not come back" in str(error) or "YAML" in str(error)


def test_a_patch_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "patch.yaml"
    path.write_text("revision: 3\nchanges:\n  - {op: remove, name: a}\n")
    assert read_patch(path) == ((Remove(name="a"),), 3)
    path.write_text("changes: no\n")
    with pytest.raises(ConfigError, match="expected 'changes'"):
        read_patch(path)


def test_bypass_is_a_key_of_the_file() -> None:
    text = text_of(GRAPH.replace("kind: fader", "kind: delay, bypass: true"))
    graph = loads(text, "p.yaml")
    assert str(graph.nodes["mix"].inputs["x"].source) == "song.out"
    assert graph.raw["nodes"]["mix"]["inputs"]["x"]["from"] == "a"
    back = edited(graph, [Bypass(name="a", on=False)])
    assert str(back.nodes["mix"].inputs["x"].source) == "a.out"
