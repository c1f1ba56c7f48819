"""Graphs as they go over the network: files by the ids of uploads, paths never, and only kinds that are harmless."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.graph.node_keys import NAMES
from audio_pipeline.graph.registry import load_kind
from audio_pipeline.rules import Rule
from audio_pipeline.service.catalog import FILE, resolved
from audio_pipeline.service.uploads import Uploads
from audio_pipeline.settings import rule_of

KINDS = ("file_source", "meter", "mixer", "remote_mic", "separate", "vad")  # that may be added from elsewhere
HIDDEN = "(on the host)"
MOST_CHANGES = 64


def file_rules(kind: str) -> Iterator[tuple[str, Rule]]:
    """The settings of a kind that are paths."""
    try:
        settings = load_kind(kind, ()).Settings
    except ConfigError:  # a kind of somebody's own: its settings are not shown
        return
    for field in dataclasses.fields(settings) if dataclasses.is_dataclass(settings) else ():
        if rule_of(field).file:
            yield field.name, rule_of(field)


def shown_settings(kind: str, settings: Mapping[str, Any], uploads: Uploads) -> dict[str, Any]:
    """Settings without paths."""
    shown = dict(settings)
    for name, rule in file_rules(kind):
        if name in shown:
            shown[name] = _shown(shown[name], rule, uploads)
    return shown


def _shown(value: Any, rule: Rule, uploads: Uploads) -> Any:
    if isinstance(value, (list, tuple)):
        return [_shown(each, rule, uploads) for each in value]
    if not isinstance(value, str) or not value or value in _choices(rule):
        return value
    upload = uploads.known(value)
    return f"{FILE}{upload.id}" if upload else HIDDEN


def _choices(rule: Rule) -> tuple[str, ...]:
    return rule.file if isinstance(rule.file, tuple) else ()


def shown_graph(raw: Mapping[str, Any], uploads: Uploads) -> dict[str, Any]:
    """A graph as a file would state it, without paths and without what only concerns the host."""
    nodes = {
        str(name): shown_settings(str(body.get("kind")), body, uploads)
        for name, body in dict(raw.get("nodes") or {}).items()
    }
    return {**{key: value for key, value in raw.items() if key != "node_paths"}, "nodes": nodes}


def checked_changes(changes: Sequence[Mapping[str, Any]], uploads: Uploads) -> list[dict[str, Any]]:
    """Changes with uploads in place of their ids. Raises ConfigError for what may not be said from elsewhere."""
    if not 0 < len(changes) <= MOST_CHANGES:
        raise ConfigError(f"changes: expected 1 to {MOST_CHANGES}, got {len(changes)}")
    return [_checked(dict(change), number, uploads) for number, change in enumerate(changes, 1)]


def _checked(change: dict[str, Any], number: int, uploads: Uploads) -> dict[str, Any]:
    body = change.get("node")
    if change.get("op") != "add":
        return change
    where = f"change {number}"
    if not isinstance(body, Mapping) or not isinstance(body.get("kind"), str):
        raise ConfigError(f"{where}: node: expected a map with 'kind', got {body!r:.80}")
    kind = body["kind"]
    if kind not in KINDS:
        raise ConfigError(
            f"{where}: kind: {kind[:40]!r} cannot be added from elsewhere{nearest(kind, KINDS)}; "
            f"those that can are {', '.join(KINDS)}"
        )
    for key in body:
        if key in NAMES and key not in ("bypass", "optional"):
            raise ConfigError(f"{where}: {key}: is the host's own to say")
    return {**change, "node": _with_files(kind, body, uploads)}


def _with_files(kind: str, body: Mapping[str, Any], uploads: Uploads) -> dict[str, Any]:
    found = dict(body)
    for name, rule in file_rules(kind):
        if name in found:
            what = "files" if isinstance(found[name], list) else "file"
            found[name] = resolved(name, what, _choices(rule), found[name], uploads.path)
    return found
