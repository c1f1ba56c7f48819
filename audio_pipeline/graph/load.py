"""Reads a pipeline from YAML and validates it against the nodes' settings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.graph.bypass import with_bypasses
from audio_pipeline.graph.groups import with_groups
from audio_pipeline.graph.node_keys import NAMES, build_keys, check_untrusted
from audio_pipeline.graph.registry import load_kind
from audio_pipeline.graph.rules import check_graph
from audio_pipeline.graph.types import VERSION, Graph, Link, LinkKeys, NodeSpec, Top
from audio_pipeline.graph.yamlfile import parse_yaml, read_yaml, value_of
from audio_pipeline.node import Node
from audio_pipeline.places import Places
from audio_pipeline.refs import PortRef
from audio_pipeline.settings import build, fail

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def bundled() -> Path:
    """The folder of the pipelines that come with us."""
    return Path(str(files("audio_pipeline"))) / "configs"


def find_config(config: str | Path) -> Path:
    """The file for a path, or for the name of a bundled pipeline. Raises ConfigError.

    A file of exactly that name wins: `karaoke` is the bundled pipeline unless a file called `karaoke` (not
    `karaoke.yaml`) is in the working directory; `karaoke.yaml` is the file there, else the bundled one.
    """
    path = Path(config)
    if path.is_file():
        return path
    for candidate in (bundled() / f"{path.name}.yaml", bundled() / path.name):
        if candidate.is_file() and str(path.parent) in (".", "configs"):
            return candidate
    known = sorted(file.stem for file in bundled().glob("*.yaml"))
    raise ConfigError(
        f"pipeline file {str(config)!r} not found{nearest(path.stem, known)}; bundled are {', '.join(known)}"
    )


def load(config: str | Path, sets: Sequence[str] | Mapping[str, object] = ()) -> Graph:
    """The graph in a file, with changes to its keys: `nodes.song.path=x` as YAML text, or a map with Python values.

    Raises ConfigError naming key and line.
    """
    file = find_config(config)
    raw, places = read_yaml(file)
    return build_graph(_with_sets(raw, sets, places), places, file)


def loads(text: str, name: str = "text", sets: Sequence[str] | Mapping[str, object] = ()) -> Graph:
    """As `load`, from text; `name` stands for the file in errors."""
    raw, places = parse_yaml(text, name)
    return build_graph(_with_sets(raw, sets, places), places)


def _with_sets(raw: dict[str, object], sets: Sequence[str] | Mapping[str, object], places: Places) -> dict[str, object]:
    for label, key, value, typed in _values(sets) if isinstance(sets, Mapping) else _texts(sets):
        _set_at(raw, key.split("."), value, label)
        places.typed[tuple(key.split("."))] = typed
    return raw


def _texts(sets: Sequence[str]) -> Iterator[tuple[str, str, Any, str]]:
    """Label, key, value and text of `key=value` texts."""
    for item in sets:
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {item!r}: expected key=value, such as nodes.song.path=song.mp3")
        yield f"--set {item}", key, value_of(text), text


def _values(sets: Mapping[str, object]) -> Iterator[tuple[str, str, Any, str]]:
    """Label, key, value and text of Python values; a path is the text of it."""
    for key, given in sets.items():
        if not isinstance(key, str) or not key:
            raise ConfigError(f"{key!r}: expected the key of a setting as text, such as 'nodes.song.path'")
        value = os.fspath(given) if isinstance(given, os.PathLike) else given
        yield key, key, value, str(value)


def _set_at(raw: dict[str, object], path: list[str], value: Any, label: str) -> None:
    for depth, key in enumerate(path[:-1]):
        if depth == 1 and path[0] == "nodes" and key not in raw:
            raise ConfigError(f"{label}: unknown node {key!r}{nearest(key, raw)}; known: {', '.join(raw)}")
        inner = raw.setdefault(key, {})
        if isinstance(inner, str) and (depth == 3 or key == "in"):
            inner = raw[key] = {"from": inner}
        if not isinstance(inner, dict):
            raise ConfigError(f"{label}: {'.'.join(path[: depth + 1])} is {inner!r}, which has no keys")
        raw = inner
    raw[path[-1]] = value


def build_graph(
    raw: Mapping[str, object],
    places: Places,
    file: Path | None = None,
    *,
    trusted: bool = True,
    base: Graph | None = None,
) -> Graph:
    """The graph from plain values.

    What came over the network is not `trusted`: it may not name code to run (`python`, `node_paths`), but may
    repeat what `base`, the graph that it changes, has.
    """
    if not trusted:
        check_untrusted(base, raw, places)
    if "version" not in raw:
        raise fail(("version",), f"missing, expected {VERSION}", places)
    nodes_raw = raw.get("nodes")
    if not isinstance(nodes_raw, Mapping) or not nodes_raw:
        raise fail(("nodes",), f"expected a map of nodes, got {nodes_raw!r}", places)
    top = build(Top, {key: value for key, value in raw.items() if key != "nodes"}, (), places)
    home = file.parent if file else Path()
    paths = [home / folder for folder in top.node_paths]
    shared = top.host == "shared"
    nodes = {name: _build_node(name, body, places, paths, home, shared=shared) for name, body in nodes_raw.items()}
    graph = Graph(top, nodes, file, places, raw)
    check_graph(graph)
    return with_groups(with_bypasses(graph), base)


def _build_node(
    name: str, body: Any, places: Places, node_paths: Sequence[Path], home: Path, *, shared: bool
) -> NodeSpec:
    path = ("nodes", name)
    if not NAME.fullmatch(name):
        raise fail(path, f"a node's name is a lower-case letter, then letters, digits or _; got {name!r}", places)
    if not isinstance(body, Mapping) or "kind" not in body:
        raise fail(path, f"expected a map with 'kind', got {body!r}", places)
    try:
        cls = load_kind(str(body["kind"]), node_paths)
    except ConfigError as error:
        raise fail((*path, "kind"), str(error), places) from error
    keys = build_keys(body, path, places, home)
    own = {key: value for key, value in body.items() if key not in ("kind", "in", "inputs", *NAMES)}
    settings: Any = build(cls.Settings, own, path, places)
    if shared and (given := cls.when_shared(settings)):
        own = {**given, **own}
        settings = build(cls.Settings, own, path, places)
    links, input_settings = _build_inputs(body, cls, path, places)
    ports = cls.ports(settings, tuple(links))
    return NodeSpec(name, str(body["kind"]), cls, settings, links, input_settings, ports, keys)


def _build_inputs(
    body: Mapping[str, object], cls: type[Node], path: tuple[str, ...], places: Places
) -> tuple[dict[str, Link], dict[str, object]]:
    if "in" in body and "inputs" in body:
        raise fail((*path, "in"), "give either 'in' (one input) or 'inputs' (a map), not both", places)
    raw = {"in": body["in"]} if "in" in body else body.get("inputs") or {}
    if not isinstance(raw, Mapping):
        raise fail((*path, "inputs"), f"expected a map (input: source), got {raw!r}", places)
    links: dict[str, Link] = {}
    settings: dict[str, object] = {}
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
    return Link(PortRef.parse(body["from"]), keys.policy, keys.budget_ms, keys.on_loss), build(
        cls.InputSettings, rest, path, places
    )
