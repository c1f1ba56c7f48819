"""Which nodes share a process: groups that a file names, and groups that the loader makes by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from audio_pipeline.graph.node_keys import AUTO, OWN, SHARED
from audio_pipeline.graph.types import Graph, NodeSpec
from audio_pipeline.settings import fail

MAX_MEMBERS = 16  # of an automatic group: its thread must be through with all of them well within a frame


def with_groups(graph: Graph, base: Graph | None = None) -> Graph:
    """The graph with a process for each node. Raises ConfigError where the nodes of a group disagree.

    `base` is the graph that plays while this one is made from it: its nodes stay where they are, and nodes that are
    new to it get processes of their own, since a process that runs takes in no more nodes.
    """
    _check_names(graph)
    placed = {name: spec.process for name, spec in base.nodes.items() if name in graph.nodes} if base else {}
    placed |= {} if base else (_automatic(graph) | _sharing(graph))
    nodes = {name: replace(spec, process=_process(spec, placed.get(name))) for name, spec in graph.nodes.items()}
    grouped = replace(graph, nodes=nodes)
    for members in processes(grouped).values():
        for key in SHARED:
            _check_agree(grouped, members, key)
    return grouped


def _process(spec: NodeSpec, placed: str | None) -> str:
    named = spec.keys.process
    return placed or (spec.name if named in (None, AUTO, OWN) else str(named))


def is_light(spec: NodeSpec) -> bool:
    """True where a node may share a process without being asked.

    Its class declares it `light`, it needs no weights under these settings, drives no device, serves no other host,
    can not be left out, and the file states nothing of its process.
    """
    cls = spec.cls
    return cls.light and not (cls.clock_source or cls.audible or _stays_apart(spec) or cls.assets(spec.settings))


def _stays_apart(spec: NodeSpec) -> bool:
    stated = any(getattr(spec.keys, key) is not None for key in SHARED)
    return stated or spec.optional or spec.cls.service or spec.cls.remote_input


def _sharing(graph: Graph) -> dict[str, str]:
    """Under `host: shared` the names of groups by node: all in one that compute little and do not stay apart."""
    members = [name for name in graph.order() if graph.top.host == "shared" and _is_shared(graph.nodes[name])]
    groups = [members[at : at + MAX_MEMBERS] for at in range(0, len(members), MAX_MEMBERS)]
    return {name: group_name(group) for group in groups if len(group) > 1 for name in group}


def _is_shared(spec: NodeSpec) -> bool:
    wanted = spec.cls.when_shared(spec.settings)
    if wanted is None or spec.keys.process not in (None, AUTO) or _stays_apart(spec):
        return False
    return all(getattr(spec.settings, key) == value for key, value in wanted.items())


def _automatic(graph: Graph) -> dict[str, str]:
    """Names of automatic groups by node."""
    return {name: group_name(members) for members in _components(graph) if len(members) > 1 for name in members}


def group_name(members: list[str]) -> str:
    """What an automatic group is called: `bridge+mix`, `a+8` for nine. No node and no named group has a `+`."""
    return "+".join(members) if len(members) == 2 else f"{members[0]}+{len(members) - 1}"


def _components(graph: Graph) -> Iterator[list[str]]:
    """Light nodes that links connect with each other, producers first, at most MAX_MEMBERS together."""
    found: list[list[str]] = []
    for name in graph.order():
        spec = graph.nodes[name]
        if (spec.keys.process or graph.top.process) != AUTO or not is_light(spec):
            continue
        sources = {link.source.node for _, link in spec.all_links}
        joined = [members for members in found if not sources.isdisjoint(members)]
        found = [members for members in found if members not in joined]
        found.append([*(member for members in joined for member in members), name])
    for members in found:
        yield from (members[at : at + MAX_MEMBERS] for at in range(0, len(members), MAX_MEMBERS))


def _check_names(graph: Graph) -> None:
    for spec in graph.nodes.values():
        if spec.keys.process in graph.nodes and spec.keys.process not in (AUTO, OWN):
            reason = f"a group cannot have the name of a node, got {spec.keys.process!r}"
            raise fail(("nodes", spec.name, "process"), reason, graph.places)


def _check_agree(graph: Graph, members: list[str], key: str) -> None:
    stated = {member: getattr(graph.nodes[member].keys, key) for member in members}
    known = {member: value for member, value in stated.items() if value is not None}
    if key == "python" and known and len(known) < len(stated):
        silent = next(member for member in stated if member not in known)
        reason = f"{silent} shares a process with {next(iter(known))}, so it needs the same python"
        raise fail(("nodes", silent), reason, graph.places)
    for member, value in known.items():
        first = next(iter(known))
        if value != known[first]:
            raise fail(
                ("nodes", member, key),
                f"{member} shares a process with {first}, which has {known[first]!r}; got {value!r}",
                graph.places,
            )


def processes(graph: Graph) -> dict[str, list[str]]:
    """Nodes by process, in the order of the file."""
    found: dict[str, list[str]] = {}
    for spec in graph.nodes.values():
        found.setdefault(spec.process, []).append(spec.name)
    return found


def shared_key(graph: Graph, members: list[str], key: str) -> Any:
    """What the nodes of one process state of it (one of SHARED); None where no node states anything."""
    return next((value for name in members if (value := getattr(graph.nodes[name].keys, key)) is not None), None)
