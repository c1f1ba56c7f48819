"""Changes to a graph as plain data: what is asked, and the file that comes of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.graph.load import build_graph
from audio_pipeline.graph.types import Graph, NodeSpec
from audio_pipeline.graph_changes import MAX_CHANGES, Add, Bypass, Connect, Disconnect, GraphChange, Remove
from audio_pipeline.places import Places
from audio_pipeline.refs import InputKey

Raw = dict[str, object]
Nodes = dict[str, Raw]  # as in a file


def edited(graph: Graph, changes: Sequence[GraphChange]) -> Graph:
    """The graph with all changes made, by the rules that hold for a file. Raises ConfigError; nothing is half done."""
    raw = copy.deepcopy(dict(graph.raw))
    nodes = nodes_in(raw)
    if not 0 < len(changes) <= MAX_CHANGES:
        raise ConfigError(f"changes: expected a list of 1 to {MAX_CHANGES} changes, got {len(changes)}")
    for number, change in enumerate(changes, 1):
        _apply(nodes, change, f"change {number} ({change.op})")
    return rebuilt(graph, raw, trusted=False)


def nodes_in(raw: Raw) -> Nodes:
    """The nodes of a file of which a graph was built, by name."""
    return cast(Nodes, raw["nodes"])


def inputs_in(node: Raw) -> Raw:
    """The map in which a node's inputs stand: its own, where it has the short form `in`."""
    return node if "in" in node else cast(Raw, node.setdefault("inputs", {}))


def rebuilt(graph: Graph, raw: Mapping[str, object], *, trusted: bool = True) -> Graph:
    """A graph from plain values that can take the place of `graph` while it plays. Raises ConfigError.

    What was asked over the control socket is not `trusted`: it may not say which code runs. What is undone was checked
    when it was done.
    """
    places = Places("the changed graph", folder=graph.places.folder)
    places.typed = dict(graph.places.typed)
    new = build_graph(raw, places, graph.file, trusted=trusted, base=graph)
    if new.top != graph.top:
        raise ConfigError("the file's own keys (rate, frame_ms, clock, ...) cannot be changed while the pipeline plays")
    for name in new.nodes.keys() & graph.nodes.keys():
        _check_same(graph.nodes[name], new.nodes[name])
    return new


def _check_same(old: NodeSpec, new: NodeSpec) -> None:
    if (old.kind, old.settings, replace(old.keys, bypass=new.keys.bypass)) != (new.kind, new.settings, new.keys):
        raise ConfigError(
            f"nodes.{old.name}: what it is cannot be changed while it plays; add a node under another name instead"
        )


def _apply(nodes: Nodes, change: GraphChange, where: str) -> None:
    match change:
        case Connect():
            _connect(nodes, change, where)
        case Disconnect():
            _disconnect(nodes, change, where)
        case Add():
            _add(nodes, change, where)
        case Remove():
            _node(nodes, change.name, where)
            del nodes[change.name]
        case Bypass():
            node = _node(nodes, change.name, where)
            node.pop("bypass", None)
            if change.on:
                node["bypass"] = True


def _node(nodes: Nodes, name: str, where: str) -> Raw:
    if name not in nodes:
        raise ConfigError(f"{where}: unknown node {name!r}{nearest(name, nodes)}; known: {', '.join(nodes)}")
    return nodes[name]


def _input(nodes: Nodes, to: str, where: str) -> tuple[Raw, str]:
    """The map of inputs and the name in it that `node.input` means; `in` is brought to its long form."""
    key = InputKey.parse(to)
    node = _node(nodes, key.node, where)
    if "in" in node:
        node["inputs"] = {"in": node.pop("in")}
    return inputs_in(node), key.name


def _connect(nodes: Nodes, change: Connect, where: str) -> None:
    inputs, port = _input(nodes, change.to, where)
    before = inputs.get(port)
    body = dict(before) if isinstance(before, Mapping) else {}
    inputs[port] = {**body, **(change.keys or {}), "from": change.from_}


def _disconnect(nodes: Nodes, change: Disconnect, where: str) -> None:
    inputs, port = _input(nodes, change.to, where)
    if port not in inputs:
        raise ConfigError(
            f"{where}: to: {change.to!r} is not connected{nearest(port, inputs)}; inputs are {', '.join(inputs)}"
        )
    del inputs[port]


def _add(nodes: Nodes, change: Add, where: str) -> None:
    if change.name in nodes:
        raise ConfigError(f"{where}: name: there is a node {change.name!r} already")
    nodes[change.name] = copy.deepcopy(change.node)
