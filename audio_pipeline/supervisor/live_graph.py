"""The graph that plays, as a file: what it was made of, with the settings as they are now."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any

from audio_pipeline.graph.edit import Raw, inputs_in, nodes_in
from audio_pipeline.graph.types import Graph
from audio_pipeline.setting_values import plain
from audio_pipeline.settings import rule_of
from audio_pipeline.supervisor.records import NodeRecord


def live_raw(graph: Graph, records: Mapping[str, NodeRecord]) -> Raw:
    """Plain values from which the same graph is loaded, wherever they are saved: paths are absolute."""
    raw = copy.deepcopy(dict(graph.raw))
    if raw.get("node_paths"):
        raw["node_paths"] = [os.path.abspath(path) for path in graph.node_paths]
    for name, body in nodes_in(raw).items():
        _bring_up_to_date(body, graph, records[name])
    return raw


def _bring_up_to_date(body: Raw, graph: Graph, record: NodeRecord) -> None:
    spec = graph.nodes[record.name]
    body |= _changed(spec.settings, record.settings)
    body |= {key: _absolute(record.settings, key) for key in body if _is_path(record.settings, key)}
    if spec.keys.python is not None:
        body["python"] = spec.keys.python
    for port, settings in record.input_settings.items():
        changed = _changed(spec.input_settings[port], settings)
        if changed:
            inputs = inputs_in(body)
            before = inputs[port]
            inputs[port] = {**(before if isinstance(before, Mapping) else {"from": before}), **changed}


def _changed(stated: Any, now: Any) -> dict[str, object]:
    before, after = plain(stated), plain(now)
    return {key: value for key, value in after.items() if before.get(key) != value}


def _is_path(settings: Any, key: str) -> bool:
    field = getattr(settings, "__dataclass_fields__", {}).get(key)
    return field is not None and bool(rule_of(field).file)


def _absolute(settings: Any, key: str) -> str | list[str]:
    """A path, or a list of them, wherever the file will lie; names that stand for a file (`demo`) stay as they are."""
    rule, value = rule_of(settings.__dataclass_fields__[key]), getattr(settings, key)
    names = rule.file if isinstance(rule.file, tuple) else ()

    def one(path: str) -> str:
        return path if not path or path in names else os.path.abspath(path)

    return one(value) if isinstance(value, str) else [one(path) for path in value]
