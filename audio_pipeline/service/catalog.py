"""The pipelines that a service offers, and what may be said of each over the network.

A session is created from the name of one of these and values for parameters that are listed here. A parameter that is
a file takes `file:ID` of an upload, or one of the setting's own words such as `demo`. Nothing else of a graph, and no
path, can be chosen from elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.graph.load import bundled, load
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.graph.types import Graph, NodeSpec
from audio_pipeline.rules import Rule
from audio_pipeline.service.budget import Cost
from audio_pipeline.service.estimate import estimate
from audio_pipeline.setting_values import plain
from audio_pipeline.settings import rule_of

FILE = "file:"
FIXED = ("path", "playlist", "start_s", "mode", "model")  # may be chosen at the start, beside what is live
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "list", type(None): "string"}


@dataclass(frozen=True)
class Offer:
    """One pipeline for browsers."""

    id: str
    title: str
    text: str
    kind: str  # which page shows it


BUNDLED = (
    Offer(
        "karaoke_browser",
        "Karaoke",
        "A song is split into voice and band while it plays; sing at this browser's microphone.",
        "karaoke",
    ),
    Offer("stems_browser", "Voice and band", "A song, or the sound of this browser, in voice and band.", "stems"),
    Offer(
        "stems4_browser", "Four stems", "A song, or the sound of this browser, in voice, drums, bass and rest.", "stems"
    ),
    Offer("speech_browser", "Clean speech", "Speech without the noise around it, in 40 ms.", "stems"),
)


@dataclass(frozen=True)
class Parameter:
    """One value that may be chosen when a session is created."""

    key: str  # node.setting
    title: str
    type: str  # number, integer, boolean, string, file, list
    default: Any
    minimum: float | None = None
    maximum: float | None = None
    unit: str = ""
    choices: tuple[Any, ...] | None = None
    live: bool = False  # may also be changed while it plays


@dataclass(frozen=True)
class Port:
    """An output that can be listened to."""

    port: str
    channels: int


@dataclass(frozen=True)
class Stated:
    """Latency as the nodes state it before they are opened."""

    monitor_ms: float | None  # the way of the singer's sound
    total_ms: float


@dataclass(frozen=True)
class Entry:
    """One pipeline as it is on disk."""

    offer: Offer
    path: Path
    graph: Graph
    parameters: Mapping[str, Parameter]
    cost: Cost  # estimated

    @property
    def feeds(self) -> tuple[str, ...]:
        """Nodes that take the sound of browsers."""
        return tuple(name for name, spec in self.graph.nodes.items() if spec.cls.remote_input)

    @property
    def ports(self) -> tuple[Port, ...]:
        """Outputs of mixers and separators, the one to hear first."""
        nodes = [spec for spec in self.graph.nodes.values() if spec.kind in ("mixer", "separate")]
        found = [Port(f"{spec.name}.{port}", _channels(spec)) for spec in nodes for port in spec.ports.outputs]
        return tuple(sorted(found, key=lambda each: not each.port.endswith(".out")))

    @property
    def recorders(self) -> Mapping[str, Mapping[str, Any]]:
        """The recorders of the file, which a session gets for each take."""
        raw: Any = self.graph.raw["nodes"]
        return {name: raw[name] for name, spec in self.graph.nodes.items() if spec.kind == "recorder"}

    @cached_property
    def stated(self) -> Stated:
        """Of the file as it is."""
        paths = make_plan(self.graph).paths
        singer = [path.total_ms for path in paths if path.names[0] in self.feeds]
        return Stated(min(singer, default=None), max(path.total_ms for path in paths))


def _channels(spec: NodeSpec) -> int:
    return int(getattr(spec.settings, "channels", 2))


class Catalog:
    """Every pipeline that is offered. Raises ConfigError for one that cannot be loaded."""

    def __init__(self, offers: Sequence[Offer] = BUNDLED) -> None:
        self.entries = {offer.id: _entry(offer) for offer in offers if (bundled() / f"{offer.id}.yaml").is_file()}

    def entry(self, config: str) -> Entry:
        """Raises ConfigError."""
        if config not in self.entries:
            known = ", ".join(self.entries)
            raise ConfigError(
                f"config: unknown pipeline {config!r}{nearest(config, self.entries)}; offered are {known}"
            )
        return self.entries[config]


def _entry(offer: Offer) -> Entry:
    path = bundled() / f"{offer.id}.yaml"
    graph = load(path)
    return Entry(offer, path, graph, {each.key: each for each in parameters(graph)}, estimate(graph))


def parameters(graph: Graph) -> Iterator[Parameter]:
    """What may be chosen of each node; recorders and clocks are the host's own."""
    for name, spec in graph.nodes.items():
        if spec.kind not in ("recorder", "playback", "gateway"):
            yield from _of(name, spec.settings)
            for port, settings in spec.input_settings.items():
                yield from _of(f"{name}.inputs.{port}", settings)


def _of(prefix: str, settings: Any) -> Iterator[Parameter]:
    for field in dataclasses.fields(settings) if dataclasses.is_dataclass(settings) else ():
        rule, value = rule_of(field), plain(getattr(settings, field.name))
        if (rule.live and not isinstance(value, dict)) or field.name in FIXED:
            yield _parameter(f"{prefix}.{field.name}", rule, value)


def _parameter(key: str, rule: Rule, value: Any) -> Parameter:
    kind = TYPES.get(type(value), "string")
    kind = ("files" if kind == "list" else "file") if rule.file else kind
    return Parameter(key, rule.doc, kind, value, rule.minimum, rule.maximum, rule.unit, rule.choices, rule.live)


def overrides(entry: Entry, values: Mapping[str, Any], file_path: Callable[[str], Path]) -> dict[str, Any]:
    """Keys of the file for what was chosen over the network. Raises ConfigError.

    `file_path` gives the file of an upload by its id, or raises ConfigError.
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        parameter = entry.parameters.get(key)
        if parameter is None:
            known = f"{nearest(key, entry.parameters)}; known are {', '.join(entry.parameters)}"
            raise ConfigError(f"set: unknown parameter {key!r}{known}")
        found[f"nodes.{key}"] = resolved(key, parameter.type, file_choices(entry, key), value, file_path)
    return found


def file_choices(entry: Entry, key: str) -> tuple[str, ...]:
    """What a setting that is a file takes beside files."""
    node, _, name = key.partition(".")
    fields = {field.name: field for field in dataclasses.fields(entry.graph.nodes[node].settings)}
    choices = rule_of(fields[name]).file if name in fields else ()
    return choices if isinstance(choices, tuple) else ()


def resolved(key: str, kind: str, choices: Sequence[str], value: Any, file_path: Callable[[str], Path]) -> Any:
    """A value with uploads in place of their ids. Raises ConfigError for a path."""
    if kind == "files":
        if not isinstance(value, list) or len(value) > MOST_FILES:
            raise ConfigError(f"set.{key}: expected a list of at most {MOST_FILES} files, got {value!r:.80}")
        return [resolved(key, "file", choices, each, file_path) for each in value]
    if kind != "file" or value in choices:
        return value
    if not isinstance(value, str) or not value.startswith(FILE):
        expected = " or ".join(["file:ID of an upload", *map(repr, choices)])
        raise ConfigError(f"set.{key}: expected {expected}, got {value!r:.80}")
    return str(file_path(value.removeprefix(FILE)))


MOST_FILES = 100
