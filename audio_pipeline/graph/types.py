"""The pipeline as data: nodes, links, and the keys of the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audio_pipeline.errors import ConfigError
from audio_pipeline.graph.node_keys import AUTO, OWN, NodeKeys
from audio_pipeline.node import Aligned, Node, Ports
from audio_pipeline.places import Places
from audio_pipeline.refs import PortRef
from audio_pipeline.settings import fail, setting

VERSION = 1
POLICIES = ("block", "drop_oldest", "drop_newest", "latest")
ON_LOSS = ("silence", "hold", "bypass", "fail")


@dataclass(frozen=True)
class Link:
    """Keys that any input accepts beside what its node adds."""

    source: PortRef
    policy: str = "drop_oldest"
    budget_ms: float | None = None
    on_loss: str | None = None
    muted: bool = False  # connected, but not heard: the bypass of its producer is silence


@dataclass(frozen=True)
class LinkKeys:
    policy: str = setting("drop_oldest", "queueing when the consumer is too slow", choices=POLICIES)
    budget_ms: float | None = setting(
        None, "how old a frame may be on this link", unit="ms", minimum=1, maximum=600_000
    )
    on_loss: str | None = setting(None, "stand-in while this input has no sound", choices=ON_LOSS)


@dataclass(frozen=True)
class NodeSpec:
    """One node of the graph, validated."""

    name: str
    kind: str
    cls: type[Node]
    settings: Any
    inputs: Mapping[str, Link]
    input_settings: Mapping[str, object]
    ports: Ports
    keys: NodeKeys = field(default_factory=NodeKeys)
    process: str = ""  # name of the process that runs it: its own, or its group's
    wired: Mapping[str, Link] | None = None  # inputs as the file says, where a bypass leads around a producer

    @property
    def optional(self) -> bool:
        return self.keys.optional

    @property
    def aligned(self) -> bool:
        return issubclass(self.cls, Aligned)

    @property
    def all_outputs(self) -> tuple[str, ...]:
        """Outputs for sound, then those for events."""
        return (*self.ports.outputs, *self.ports.events)

    @property
    def begins_timeline(self) -> bool:
        """True where what comes out is not numbered as what goes in."""
        return self.aligned or self.cls.bridge or not self.sound_inputs

    @property
    def sound_inputs(self) -> Mapping[str, Link]:
        """Inputs without those for events: by them sound gets its positions, its rate and its age."""
        return {name: link for name, link in self.inputs.items() if name not in self.ports.event_inputs}

    @property
    def all_links(self) -> list[tuple[str, Link]]:
        """Every input as it is heard now, and as it will be without a bypass: both have to fit."""
        around = [(name, link) for name, link in (self.wired or {}).items() if link.source != self.inputs[name].source]
        return [*self.inputs.items(), *around]


@dataclass(frozen=True)
class Top:
    """The file's own keys."""

    version: int = setting(VERSION, "version of the file format", choices=(VERSION,))
    name: str = setting("", "name of the pipeline")
    rate: int = setting(48_000, "sample rate of the graph", unit="Hz", minimum=8_000, maximum=192_000)
    frame_ms: float = setting(10.0, "length of a frame", unit="ms", minimum=1, maximum=100)
    clock: str = setting("auto", "clock master: auto, host, or the name of a device node")
    budget_ms: float | None = setting(None, "limit for the latency of the slowest path", unit="ms", minimum=1)
    monitor_budget_ms: float = setting(
        25.0, "limit for the latency from microphone through mixer to playback", unit="ms", minimum=1
    )
    metrics: str = setting("", "address of the Prometheus endpoint: [HOST:]PORT, such as 127.0.0.1:9464")
    process: str = setting(
        OWN, "for nodes that state none: own, or auto: linked light nodes share one", choices=(OWN, AUTO)
    )
    host: str = setting(
        "own",
        "own: as each node states; shared: processes of the host serve models, workers come from its pool, and nodes "
        "with little computation share one process",
        choices=("own", "shared"),
    )
    workers: str = setting(
        "own",
        "own: forks of this pipeline's forkserver; host: forks of a pool that the pipelines of the host share",
        choices=("own", "host"),
    )
    node_paths: tuple[str, ...] = setting((), "folders with your own node kinds (trusted files only)")


@dataclass(frozen=True)
class Graph:
    """A validated pipeline."""

    top: Top
    nodes: Mapping[str, NodeSpec]
    file: Path | None = None
    places: Places = field(default_factory=Places)
    raw: Mapping[str, object] = field(default_factory=dict)  # the file as plain values

    @property
    def name(self) -> str:
        return self.top.name or (self.file.stem if self.file else "pipeline")

    @property
    def rate(self) -> int:
        return self.top.rate

    @property
    def shares_workers(self) -> bool:
        """True where its processes come from the host's pool."""
        return self.top.workers == "host" or self.top.host == "shared"

    @property
    def frame_samples(self) -> int:
        return round(self.top.rate * self.top.frame_ms / 1000)

    @property
    def node_paths(self) -> list[Path]:
        base = self.file.parent if self.file else Path()
        return [base / folder for folder in self.top.node_paths]

    def consumers(self, node: str, port: str) -> list[tuple[str, str]]:
        """(node, input) of everybody who listens to a port."""
        wanted = PortRef(node, port)
        return [
            (spec.name, name)
            for spec in self.nodes.values()
            for name, link in spec.inputs.items()
            if link.source == wanted
        ]

    def input_path(self, node: str, name: str) -> tuple[str, ...]:
        """Where the file says an input: `in` is short for `inputs: {in: ...}`."""
        short = ("nodes", node, name)
        return short if name == "in" and short in self.places.lines else ("nodes", node, "inputs", name)

    def order(self) -> list[str]:
        """Node names, producers before consumers."""
        done: list[str] = []
        while len(done) < len(self.nodes):
            ready = [
                name
                for name, spec in self.nodes.items()
                if name not in done and all(link.source.node in done for _, link in spec.all_links)
            ]
            if not ready:
                raise self._cycle([name for name in self.nodes if name not in done])
            done += ready
        return done

    def _cycle(self, stuck: list[str]) -> ConfigError:
        """Names the loop only, not what hangs behind it."""
        sources = {name: [link.source.node for _, link in self.nodes[name].all_links] for name in stuck}
        while last := [name for name in stuck if not any(name in sources[other] for other in stuck)]:
            stuck = [name for name in stuck if name not in last]
        return fail(("nodes", stuck[0]), f"cycle through {', '.join(stuck)}; a graph has no loops", self.places)
