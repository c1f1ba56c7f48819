"""The pipeline as data: nodes, links and rules, read from YAML and validated against the nodes' settings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.node import ANY, Aligned, Node, Ports
from audio_pipeline.registry import load_kind
from audio_pipeline.settings import Places, Rule, build, fail, setting
from audio_pipeline.yamlfile import parse_yaml, read_yaml

VERSION = 1
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
POLICIES = ("block", "drop_oldest", "drop_newest", "latest")
ON_LOSS = ("silence", "hold", "bypass", "fail")


@dataclass(frozen=True)
class Link:
    """Keys that any input accepts beside what its node adds."""

    source: str  # "node.port"
    policy: str = "drop_oldest"
    budget_ms: float | None = None
    on_loss: str | None = None


@dataclass(frozen=True)
class LinkKeys:
    policy: str = setting("drop_oldest", "what happens when the consumer is too slow", choices=POLICIES)
    budget_ms: float | None = setting(
        None, "how old a frame may be on this link", unit="ms", minimum=1, maximum=600_000
    )
    on_loss: str | None = setting(None, "what is heard while this input has nothing", choices=ON_LOSS)


@dataclass(frozen=True)
class NodeSpec:
    """One node of the graph, validated."""

    name: str
    kind: str
    cls: type[Node]
    settings: Any
    raw_settings: Mapping[str, Any]
    inputs: Mapping[str, Link]
    input_settings: Mapping[str, Any]
    ports: Ports
    optional: bool = False

    @property
    def aligned(self) -> bool:
        return issubclass(self.cls, Aligned)


@dataclass(frozen=True)
class Top:
    """The file's own keys."""

    version: int = setting(VERSION, "version of the file format", choices=(VERSION,))
    name: str = setting("", "what the pipeline is called")
    rate: int = setting(48_000, "sample rate of the graph", unit="Hz", minimum=8_000, maximum=192_000)
    frame_ms: float = setting(10.0, "length of a frame", unit="ms", minimum=1, maximum=100)
    clock: str = setting("auto", "clock master: auto, host, or the name of a device node")
    budget_ms: float | None = setting(None, "most that the slowest path may take", unit="ms", minimum=1)
    monitor_budget_ms: float = setting(25.0, "most that microphone to mixer to playback may take", unit="ms", minimum=1)
    node_paths: tuple[str, ...] = setting((), "folders with node kinds of your own (trusted files only)")


@dataclass(frozen=True)
class Graph:
    """A validated pipeline."""

    top: Top
    nodes: Mapping[str, NodeSpec]
    file: Path | None = None
    places: Places = field(default_factory=Places)

    @property
    def name(self) -> str:
        return self.top.name or (self.file.stem if self.file else "pipeline")

    @property
    def rate(self) -> int:
        return self.top.rate

    @property
    def frame_samples(self) -> int:
        return round(self.top.rate * self.top.frame_ms / 1000)

    @property
    def node_paths(self) -> list[Path]:
        base = self.file.parent if self.file else Path()
        return [base / folder for folder in self.top.node_paths]

    def consumers(self, node: str, port: str) -> list[tuple[str, str]]:
        """(node, input) of everybody who listens to a port."""
        wanted = f"{node}.{port}"
        return [
            (spec.name, name) for spec in self.nodes.values() for name, link in spec.inputs.items()
            if link.source == wanted
        ]  # fmt: skip

    def input_path(self, node: str, name: str) -> tuple[str, ...]:
        """Where the file says an input: `in` is short for `inputs: {in: ...}`."""
        short = ("nodes", node, name)
        return short if name == "in" and short in self.places.lines else ("nodes", node, "inputs", name)

    def order(self) -> list[str]:
        """Node names, producers before consumers."""
        done: list[str] = []
        while len(done) < len(self.nodes):
            ready = [
                name for name, spec in self.nodes.items()
                if name not in done and all(link.source.split(".")[0] in done for link in spec.inputs.values())
            ]  # fmt: skip
            if not ready:
                raise self._cycle([name for name in self.nodes if name not in done])
            done += ready
        return done

    def _cycle(self, stuck: list[str]) -> ConfigError:
        """Names the loop only, not what hangs behind it."""
        sources = {name: [link.source.split(".")[0] for link in self.nodes[name].inputs.values()] for name in stuck}
        while last := [name for name in stuck if not any(name in sources[other] for other in stuck)]:
            stuck = [name for name in stuck if name not in last]
        return fail(("nodes", stuck[0]), f"cycle through {', '.join(stuck)}; a graph has no loops", self.places)


def find_config(config: str | Path) -> Path:
    """The file for a path, or for the name of a bundled pipeline. Raises ConfigError."""
    path = Path(config)
    if path.is_file():
        return path
    bundled = Path(str(files("audio_pipeline"))) / "configs"
    for candidate in (bundled / f"{path.name}.yaml", bundled / path.name):
        if candidate.is_file() and str(path.parent) in (".", "configs"):
            return candidate
    known = sorted(file.stem for file in bundled.glob("*.yaml"))
    raise ConfigError(
        f"pipeline file {str(config)!r} not found{nearest(path.stem, known)}; bundled are {', '.join(known)}"
    )


def load(config: str | Path, sets: Sequence[str] = ()) -> Graph:
    """The graph in a file, with `nodes.song.path=x` style changes. Raises ConfigError naming key and line."""
    file = find_config(config)
    raw, places = read_yaml(file)
    return build_graph(_with_sets(raw, sets), places, file)


def loads(text: str, name: str = "text") -> Graph:
    """As `load`, from text."""
    raw, places = parse_yaml(text, name)
    return build_graph(raw, places)


def _with_sets(raw: dict[str, Any], sets: Sequence[str]) -> dict[str, Any]:
    for item in sets:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {item!r}: expected key=value, such as nodes.song.path=song.mp3")
        _set_at(raw, key.split("."), _said(value), item)
    return raw


def _said(text: str) -> Any:
    """The value as YAML, where that is more than text; a path keeps its `#` and `: `."""
    try:
        value = parse_yaml(f"value: {text}", "")[0]["value"]
    except ConfigError:
        return text
    return text if isinstance(value, str) and text[:1] not in ("'", '"') else value


def _set_at(raw: dict[str, Any], path: list[str], value: Any, item: str) -> None:
    for depth, key in enumerate(path[:-1]):
        if depth == 1 and path[0] == "nodes" and key not in raw:
            raise ConfigError(f"--set {item}: unknown node {key!r}{nearest(key, raw)}; known are {', '.join(raw)}")
        inner = raw.setdefault(key, {})
        if isinstance(inner, str) and (depth == 3 or key == "in"):
            inner = raw[key] = {"from": inner}
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {item}: {'.'.join(path[: depth + 1])} is {inner!r}, which has no keys")
        raw = inner
    raw[path[-1]] = value


def build_graph(raw: Mapping[str, Any], places: Places, file: Path | None = None) -> Graph:
    """The graph from plain values."""
    if "version" not in raw:
        raise fail(("version",), f"missing, expected {VERSION}", places)
    nodes_raw = raw.get("nodes")
    if not isinstance(nodes_raw, Mapping) or not nodes_raw:
        raise fail(("nodes",), f"expected a map of nodes, got {nodes_raw!r}", places)
    top = build(Top, {key: value for key, value in raw.items() if key != "nodes"}, (), places)
    base = file.parent if file else Path()
    paths = [base / folder for folder in top.node_paths]
    nodes = {name: _build_node(name, body, places, paths) for name, body in nodes_raw.items()}
    graph = Graph(top, nodes, file, places)
    _check(graph)
    return graph


def _build_node(name: str, body: Any, places: Places, node_paths: Sequence[Path]) -> NodeSpec:
    path = ("nodes", name)
    if not NAME.fullmatch(name):
        raise fail(path, f"a node's name is a lower-case letter, then letters, digits or _; got {name!r}", places)
    if not isinstance(body, Mapping) or "kind" not in body:
        raise fail(path, f"expected a map with 'kind', got {body!r}", places)
    try:
        cls = load_kind(str(body["kind"]), node_paths)
    except ConfigError as error:
        raise fail((*path, "kind"), str(error), places) from error
    optional = body.get("optional", False)
    if not isinstance(optional, bool):
        raise fail((*path, "optional"), f"expected true or false, got {optional!r}", places)
    own = {key: value for key, value in body.items() if key not in ("kind", "in", "inputs", "optional")}
    settings: Any = build(cls.Settings, own, path, places)
    links, input_settings = _build_inputs(body, cls, path, places)
    ports = cls.ports(settings, tuple(links))
    return NodeSpec(name, str(body["kind"]), cls, settings, own, links, input_settings, ports, optional)


def _build_inputs(
    body: Mapping[str, Any], cls: type[Node], path: tuple[str, ...], places: Places
) -> tuple[dict[str, Link], dict[str, Any]]:
    if "in" in body and "inputs" in body:
        raise fail((*path, "in"), "give either 'in' (one input) or 'inputs' (a map), not both", places)
    raw = {"in": body["in"]} if "in" in body else body.get("inputs") or {}
    if not isinstance(raw, Mapping):
        raise fail((*path, "inputs"), f"expected a map (input: source), got {raw!r}", places)
    links: dict[str, Link] = {}
    settings: dict[str, Any] = {}
    for name, value in raw.items():
        where = (*path, "in") if "in" in body else (*path, "inputs", name)
        if not NAME.fullmatch(name):
            raise fail(
                where,
                f"an input's name is a lower-case letter, then letters, digits or _; got {name!r}",
                places,
            )
        links[name], settings[name] = _build_input(value, cls, where, places)
    return links, settings


def _build_input(value: Any, cls: type[Node], path: tuple[str, ...], places: Places) -> tuple[Link, Any]:
    body = {"from": value} if isinstance(value, str) else value
    if not isinstance(body, Mapping) or not isinstance(body.get("from"), str):
        raise fail(path, f"expected 'node' or 'node.port', or a map with 'from', got {value!r}", places)
    link_names = LinkKeys.__dataclass_fields__
    keys = build(LinkKeys, {key: body[key] for key in body if key in link_names}, path, places)
    rest = {key: body[key] for key in body if key not in link_names and key != "from"}
    source = body["from"] if "." in body["from"] else f"{body['from']}.out"
    return Link(source, keys.policy, keys.budget_ms, keys.on_loss), build(cls.InputSettings, rest, path, places)


def _check(graph: Graph) -> None:
    for spec in graph.nodes.values():
        _check_inputs(graph, spec)
    graph.order()
    _check_clock(graph)
    _check_on_loss(graph)


def _check_inputs(graph: Graph, spec: NodeSpec) -> None:
    for name in spec.inputs:
        if name not in spec.ports.inputs:
            known = ", ".join(spec.ports.inputs) or "none"
            hint = nearest(name, spec.ports.inputs)
            raise fail(
                graph.input_path(spec.name, name),
                f"{spec.kind} has no input {name!r}{hint}; known are {known}",
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
    node, _, port = link.source.partition(".")
    path = graph.input_path(spec.name, name)
    if node not in graph.nodes:
        known = ", ".join(graph.nodes)
        raise fail(path, f"unknown node {node!r}{nearest(node, graph.nodes)}; known are {known}", graph.places)
    ports = graph.nodes[node].ports
    if port not in (*ports.outputs, *ports.events):
        known_ports = (*ports.outputs, *ports.events)
        hint = nearest(port, known_ports)
        raise fail(
            path, f"node {node!r} ({graph.nodes[node].kind}) has no output {port!r}{hint}; "
            f"known are {', '.join(known_ports) or 'none'}", graph.places,
        )  # fmt: skip
    if port in ports.events and not spec.cls.takes_events:
        raise fail(path, f"{link.source} carries events, but {spec.kind} expects sound", graph.places)


def _check_clock(graph: Graph) -> None:
    domains: dict[str, str] = {}
    for spec in graph.nodes.values():
        domain = spec.cls.clock_domain(spec.settings)
        if domain is not None:
            domains.setdefault(domain, spec.name)
    if len(domains) > 1:
        names = " and ".join(f"{name} ({domain})" for domain, name in domains.items())
        raise fail(
            ("nodes", list(domains.values())[1]),
            f"two clock masters, {names}: devices with clocks of their own drift apart; use one device", graph.places,
        )  # fmt: skip
    masters = [spec.name for spec in graph.nodes.values() if spec.cls.clock_source]
    if graph.top.clock not in ("auto", "host", *masters):
        known = ", ".join(["auto", "host", *masters])
        raise fail(("clock",), f"expected one of {known}, got {graph.top.clock!r}", graph.places)


def _check_on_loss(graph: Graph) -> None:
    """Whatever people hear must say what they hear when an input is lost."""
    heard = _upstream(graph, [spec.name for spec in graph.nodes.values() if spec.cls.edge])
    for spec in graph.nodes.values():
        joins = spec.cls.edge or spec.aligned
        choices = ON_LOSS if spec.aligned else ("silence", "fail")
        for port, link in spec.inputs.items():
            path = graph.input_path(spec.name, port)
            if joins and link.on_loss is None and spec.name in heard:
                said = f"this input is heard, so it must say on_loss: one of {', '.join(choices)}"
                raise fail(path, said, graph.places)
            if link.on_loss is not None and not joins:
                raise fail((*path, "on_loss"), f"{spec.kind} only takes what comes; on_loss is for inputs that are "
                           "mixed or heard", graph.places)  # fmt: skip
            if link.on_loss not in (None, *choices):
                said = f"{spec.kind} has one of {', '.join(choices)}, got {link.on_loss!r}"
                raise fail((*path, "on_loss"), said, graph.places)
            if link.on_loss == "bypass":
                _check_bypass(graph, link, (*path, "on_loss"))


def _check_bypass(graph: Graph, link: Link, path: tuple[str, ...]) -> None:
    node, _, port = link.source.partition(".")
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
            todo += [link.source.split(".")[0] for link in graph.nodes[name].inputs.values()]
    return found


__all__ = [
    "Graph",
    "Link",
    "LinkKeys",
    "NodeSpec",
    "Rule",
    "Top",
    "build_graph",
    "find_config",
    "load",
    "loads",
]
