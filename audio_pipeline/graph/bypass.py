"""What `bypass: true` does to a graph: consumers hear what the node declares in its place, and it runs on."""

from __future__ import annotations

from dataclasses import replace

from audio_pipeline.graph.types import Graph, Link, NodeSpec
from audio_pipeline.node import Bypass
from audio_pipeline.settings import fail


def with_bypasses(graph: Graph) -> Graph:
    """The graph with links led around its bypassed nodes. Raises ConfigError where a node has no bypass."""
    if not any(spec.keys.bypass for spec in graph.nodes.values()):
        return graph
    for spec in graph.nodes.values():
        if spec.keys.bypass:
            _check(graph, spec)
    nodes = {name: _rerouted(graph, spec) for name, spec in graph.nodes.items()}
    return replace(graph, nodes=nodes)


def _rerouted(graph: Graph, spec: NodeSpec) -> NodeSpec:
    inputs = {name: _effective(graph, link) for name, link in spec.inputs.items()}
    return spec if inputs == spec.inputs else replace(spec, inputs=inputs, wired=spec.inputs)


def _effective(graph: Graph, link: Link) -> Link:
    """Where a link leads while the producers on its way are bypassed."""
    port, producer = link.source.port, graph.nodes[link.source.node]
    if not producer.keys.bypass or port in producer.ports.events:
        return link
    if bypass_of(producer, port) is Bypass.SILENCE:
        return replace(link, muted=True)
    first = next(iter(producer.inputs.values()))
    on_loss = "silence" if link.on_loss == "bypass" else link.on_loss
    return _effective(graph, replace(link, source=first.source, on_loss=on_loss))


def bypass_of(spec: NodeSpec, port: str) -> Bypass | None:
    """What stands for an output: as declared, else the input of a node with one input and one output; None: nothing."""
    plain = not spec.aligned and len(spec.ports.inputs) == 1 and spec.ports.outputs == (port,)
    return spec.ports.bypass.get(port, Bypass.INPUT if plain else None)


def _check(graph: Graph, spec: NodeSpec) -> None:
    for port in spec.ports.outputs:
        if graph.consumers(spec.name, port) and bypass_of(spec, port) is None:
            reason = f"{spec.kind} cannot be bypassed: nothing is declared to stand for its output {port!r}"
            raise fail(("nodes", spec.name, "bypass"), reason, graph.places)
    if not spec.inputs or not spec.ports.outputs:
        reason = f"{spec.kind} cannot be bypassed: it has no input or no output"
        raise fail(("nodes", spec.name, "bypass"), reason, graph.places)
