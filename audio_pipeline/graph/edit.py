"""Changes to a graph as plain data: what is asked, and the file that comes of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.graph.load import build_graph
from audio_pipeline.graph.types import Graph, NodeSpec
from audio_pipeline.refs import InputKey
from audio_pipeline.settings import Places

Raw = dict[str, object]
Change = Mapping[str, object]
Nodes = dict[str, Raw]  # as in a file
MAX_CHANGES = 256


def edited(graph: Graph, changes: Sequence[Any]) -> Graph:
    """The graph with all changes made, by the rules that hold for a file. Raises ConfigError; nothing is half done."""
    raw = copy.deepcopy(dict(graph.raw))
    nodes = nodes_in(raw)
    if not isinstance(changes, (list, tuple)) or not 0 < len(changes) <= MAX_CHANGES:
        raise ConfigError(f"changes: expected a list of 1 to {MAX_CHANGES} changes, got {_short(changes)}")
    for number, change in enumerate(changes, 1):
        _apply(nodes, change, f"change {number}")
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


def _apply(nodes: Nodes, change: Any, where: str) -> None:
    operations: Mapping[str, Callable[[Nodes, Change, str], None]] = {
        "connect": _connect,
        "disconnect": _disconnect,
        "add": _add,
        "remove": _remove,
        "bypass": _bypass,
    }
    if not isinstance(change, Mapping) or not isinstance(change.get("op"), str):
        raise ConfigError(f"{where}: expected a map with 'op', got {_short(change)}")
    operation = operations.get(change["op"])
    if operation is None:
        known = ", ".join(operations)
        raise ConfigError(f"{where}: op: expected one of {known}, got {change['op']!r}{nearest(change['op'], known)}")
    operation(nodes, change, f"{where} ({change['op']})")


def _text(change: Change, key: str, where: str) -> str:
    value = change.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where}: {key}: expected text, got {_short(value)}")
    return value


def _only(change: Change, known: Sequence[str], where: str) -> None:
    for key in change:
        if key not in ("op", *known):
            raise ConfigError(f"{where}: unknown key {key!r}; known are {', '.join(known)}")


def _node(nodes: Nodes, name: str, where: str) -> Raw:
    if name not in nodes:
        raise ConfigError(f"{where}: unknown node {name!r}{nearest(name, nodes)}; known are {', '.join(nodes)}")
    return nodes[name]


def _input(nodes: Nodes, change: Change, where: str) -> tuple[Raw, str]:
    """The map of inputs and the name in it that `to: node.input` means; `in` is brought to its long form."""
    key = InputKey.parse(_text(change, "to", where))
    node = _node(nodes, key.node, where)
    if "in" in node:
        node["inputs"] = {"in": node.pop("in")}
    return inputs_in(node), key.name


def _connect(nodes: Nodes, change: Change, where: str) -> None:
    """An input gets another source; what the file says of it else stays, but for `keys`."""
    _only(change, ("from", "to", "keys"), where)
    inputs, port = _input(nodes, change, where)
    keys = change.get("keys") or {}
    if not isinstance(keys, Mapping):
        raise ConfigError(f"{where}: keys: expected a map, got {_short(keys)}")
    before = inputs.get(port)
    body = dict(before) if isinstance(before, Mapping) else {}
    inputs[port] = {**body, **keys, "from": _text(change, "from", where)}


def _disconnect(nodes: Nodes, change: Change, where: str) -> None:
    _only(change, ("to",), where)
    inputs, port = _input(nodes, change, where)
    if port not in inputs:
        raise ConfigError(
            f"{where}: to: {change['to']!r} is not connected{nearest(port, inputs)}; inputs are {', '.join(inputs)}"
        )
    del inputs[port]


def _add(nodes: Nodes, change: Change, where: str) -> None:
    _only(change, ("name", "node"), where)
    name, body = _text(change, "name", where), change.get("node")
    if name in nodes:
        raise ConfigError(f"{where}: name: there is a node {name!r} already")
    if not isinstance(body, Mapping):
        raise ConfigError(f"{where}: node: expected a map with 'kind', got {_short(body)}")
    nodes[name] = copy.deepcopy(dict(body))


def _remove(nodes: Nodes, change: Change, where: str) -> None:
    _only(change, ("name",), where)
    name = _text(change, "name", where)
    _node(nodes, name, where)
    del nodes[name]


def _bypass(nodes: Nodes, change: Change, where: str) -> None:
    _only(change, ("name", "on"), where)
    node, on = _node(nodes, _text(change, "name", where), where), change.get("on")
    if not isinstance(on, bool):
        raise ConfigError(f"{where}: on: expected true or false, got {_short(on)}")
    node.pop("bypass", None)
    if on:
        node["bypass"] = True


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
