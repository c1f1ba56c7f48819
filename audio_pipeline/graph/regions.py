"""Which nodes share a clock: regions of the graph, the device that gives each of them its time, and the main one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from audio_pipeline.graph.types import Graph, NodeSpec
from audio_pipeline.settings import fail

HOST = "host"


@dataclass(frozen=True)
class Clocks:
    """By node the clock it runs on, by clock the node that owns it (or `host`), and the clock that people hear."""

    domains: Mapping[str, str]
    masters: Mapping[str, str]
    main: str
    devices: Mapping[str, str]  # by node a device in its region, where there is one

    @property
    def master(self) -> str:
        """The node that gives the main clock, or `host`."""
        return self.masters[self.main]

    def is_master(self, node: str) -> bool:
        """True where a node gives the time for its region."""
        return self.masters[self.domains[node]] == node

    def same(self, graph: Graph, bridge: str) -> bool:
        """True where all that a bridge takes is counted by its own clock."""
        sources = {link.source.node for link in graph.nodes[bridge].inputs.values()}
        return all(self.domains[name] == self.domains[bridge] for name in sources)

    def device(self, node: str) -> str:
        """The node whose own clock a region runs on; empty on the main clock."""
        domain = self.domains[node]
        return "" if domain == self.main else self.masters[domain]


def clocks_of(graph: Graph, *, live: bool = True) -> Clocks:
    """The clocks of a graph. Raises ConfigError where two devices meet without a bridge."""
    regions = _regions(graph)
    if not live:
        return Clocks(dict.fromkeys(graph.nodes, HOST), {HOST: HOST}, HOST, {})
    domains = {name: _domain(graph, names) for names in regions for name in names}
    masters = {
        domain: _master(graph, [name for name in domains if domains[name] == domain])
        for domain in dict.fromkeys(domains.values())
    }
    main = _main(graph, domains)
    if graph.top.clock == HOST:
        masters[main] = HOST
    clocks = {names[0]: [name for name in names if _is_device(graph.nodes[name])] for names in regions}
    devices = {name: clocks[names[0]][0] for names in regions for name in names if clocks[names[0]]}
    return Clocks(domains, masters, main, devices)


def _is_device(spec: NodeSpec) -> bool:
    return spec.cls.clock_domain(spec.settings) is not None


def _regions(graph: Graph) -> list[list[str]]:
    """Nodes that are linked without a bridge between them; a bridge is in the region behind it."""
    region = {name: [name] for name in graph.nodes}
    for spec in graph.nodes.values():
        for link in spec.sound_inputs.values() if not spec.cls.bridge else ():
            here, there = region[spec.name], region[link.source.node]
            if here is not there:
                here += there
                region.update(dict.fromkeys(there, here))
    return [names for name, names in region.items() if names[0] == name]


def _domain(graph: Graph, names: list[str]) -> str:
    found: dict[str, NodeSpec] = {}
    for name in sorted(names, key=list(graph.nodes).index):
        spec = graph.nodes[name]
        domain = spec.cls.clock_domain(spec.settings)
        if domain is not None:
            found.setdefault(domain, spec)
    if len(found) > 1:
        _refuse(graph, *list(found.items())[:2])
    return next(iter(found), HOST)


def _refuse(graph: Graph, *pair: tuple[str, NodeSpec]) -> None:
    """Says which two, why, and what to write: the bridge goes to the one that nobody hears."""
    (first_domain, first), (domain, spec) = sorted(pair, key=lambda item: not item[1].cls.audible)
    name = f"{spec.name}_bridge"
    if spec.cls.audible:
        source = next(iter(spec.sound_inputs.values())).source.short
        use = f"and 'from: {name}' in {spec.name}"
    else:
        source, use = spec.name, f"and {name} in every input that names {spec.name}"
    reason = (
        f"two clock masters meet, {first.name} ({first_domain}) and {spec.name} ({domain}): devices with clocks of "
        f"their own drift apart; write '{name}: {{kind: bridge, in: {source}}}' under nodes {use}, or use one device"
    )
    raise fail(("nodes", spec.name), reason, graph.places)


def _master(graph: Graph, names: list[str]) -> str:
    """The file's choice, else a device people hear, else any device; one that is none (`null`) only if alone."""
    devices = [graph.nodes[name] for name in graph.nodes if name in names and graph.nodes[name].cls.clock_source]
    if any(spec.name == graph.top.clock for spec in devices):
        return graph.top.clock
    ranked = sorted(devices, key=lambda spec: (spec.cls.clock_domain(spec.settings) is None, not spec.cls.audible))
    return ranked[0].name if ranked else HOST


def _main(graph: Graph, domains: Mapping[str, str]) -> str:
    """The clock of the file's choice, else of what people hear, else of the last nodes."""
    audible = [spec.name for spec in graph.nodes.values() if spec.cls.audible]
    named = [graph.top.clock] if graph.top.clock in domains else []
    return domains[[*named, *audible, graph.order()[-1]][0]]
