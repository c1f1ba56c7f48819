"""What a graph must keep beyond the form of its file: connections, clocks, and the stand-in for a lost input."""

from __future__ import annotations

from collections.abc import Sequence

from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.graph.regions import clocks_of
from audio_pipeline.graph.types import ON_LOSS, Graph, Link, NodeSpec
from audio_pipeline.node import ANY
from audio_pipeline.settings import fail

RESERVED = ("auto", "host")  # what `clock:` may say besides a node
NAME_MAX = 100


def check_graph(graph: Graph) -> None:
    _check_names(graph)
    for spec in graph.nodes.values():
        _check_inputs(graph, spec)
    graph.order()
    _check_metrics(graph)
    _check_clock(graph)
    _check_on_loss(graph)


def _check_names(graph: Graph) -> None:
    """The pipeline's name is shown and written down everywhere; a node's is told apart from words of the file."""
    name = graph.top.name
    if len(name) > NAME_MAX or not name.isprintable():
        raise fail(("name",), f"expected up to {NAME_MAX} printable characters, got {name!r:.120}", graph.places)
    for node in graph.nodes:
        if node in RESERVED:
            raise fail(("nodes", node), f"a node cannot be named {node!r}, which `clock:` reserves", graph.places)


def _check_metrics(graph: Graph) -> None:
    if not graph.top.metrics:
        return
    from audio_pipeline.host.address import parse_address

    try:
        parse_address(graph.top.metrics)
    except ConfigError as error:
        raise fail(("metrics",), str(error).removeprefix("metrics: "), graph.places) from error


def _check_inputs(graph: Graph, spec: NodeSpec) -> None:
    for name in spec.inputs:
        ports = (*spec.ports.inputs, *spec.ports.event_inputs)
        if name not in ports:
            known = ", ".join(ports) or "none"
            hint = nearest(name, ports)
            raise fail(
                graph.input_path(spec.name, name),
                f"{spec.kind} has no input {name!r}{hint}; known: {known}",
                graph.places,
            )
    for name in spec.ports.inputs:
        if name not in spec.inputs:
            raise fail(("nodes", spec.name), f"input {name!r} is not connected", graph.places)
    if spec.cls.PORTS.inputs == (ANY,) and not spec.inputs:
        raise fail(("nodes", spec.name), f"{spec.kind} needs at least one input", graph.places)
    for name, link in spec.inputs.items():
        _check_source(graph, spec, name, link)


def _check_source(graph: Graph, spec: NodeSpec, name: str, link: Link) -> None:
    node, port = link.source.node, link.source.port
    path = graph.input_path(spec.name, name)
    if node not in graph.nodes:
        known = ", ".join(graph.nodes)
        raise fail(path, f"unknown node {node!r}{nearest(node, graph.nodes)}; known: {known}", graph.places)
    ports = graph.nodes[node].ports
    if port not in (*ports.outputs, *ports.events):
        known_ports = (*ports.outputs, *ports.events)
        hint = nearest(port, known_ports)
        raise fail(
            path,
            f"node {node!r} ({graph.nodes[node].kind}) has no output {port!r}{hint}; "
            f"known: {', '.join(known_ports) or 'none'}",
            graph.places,
        )
    if name in spec.ports.event_inputs and port not in ports.events:
        raise fail(path, f"{link.source} carries sound, but {spec.kind} expects events here", graph.places)
    if port in ports.events and not (spec.cls.takes_events or name in spec.ports.event_inputs):
        raise fail(path, f"{link.source} carries events, but {spec.kind} expects sound", graph.places)


def _check_clock(graph: Graph) -> None:
    clocks_of(graph)
    masters = [spec.name for spec in graph.nodes.values() if spec.cls.clock_source]
    if graph.top.clock not in ("auto", "host", *masters):
        known = ", ".join(["auto", "host", *masters])
        raise fail(("clock",), f"expected one of {known}, got {graph.top.clock!r}", graph.places)


def _check_on_loss(graph: Graph) -> None:
    """Whatever people hear must say what they hear when an input is lost."""
    audible = _upstream(graph, [spec.name for spec in graph.nodes.values() if spec.cls.audible])
    for spec in graph.nodes.values():
        joins = spec.cls.audible or spec.aligned
        choices = ON_LOSS if spec.aligned else ("silence", "fail")
        for port, link in spec.inputs.items():
            path = graph.input_path(spec.name, port)
            if joins and link.on_loss is None and spec.name in audible:
                reason = f"this input is audible, so it needs on_loss: one of {', '.join(choices)}"
                raise fail(path, reason, graph.places)
            if link.on_loss is not None and not joins:
                raise fail(
                    (*path, "on_loss"),
                    f"{spec.kind} has no stand-in; on_loss is for mixed or audible inputs",
                    graph.places,
                )
            if link.on_loss not in (None, *choices):
                reason = f"{spec.kind} has one of {', '.join(choices)}, got {link.on_loss!r}"
                raise fail((*path, "on_loss"), reason, graph.places)
            if link.on_loss == "bypass":
                _check_bypass(graph, link, (*path, "on_loss"))


def _check_bypass(graph: Graph, link: Link, path: tuple[str, ...]) -> None:
    node, port = link.source.node, link.source.port
    declared = graph.nodes[node].ports.bypass
    if port not in declared:
        known = ", ".join(declared) or "none"
        raise fail(path, f"bypass needs a declared bypass at {link.source} (declared: {known})", graph.places)


def _upstream(graph: Graph, names: Sequence[str]) -> list[str]:
    found: list[str] = []
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found.append(name)
            todo += [link.source.node for link in graph.nodes[name].inputs.values()]
    return found
