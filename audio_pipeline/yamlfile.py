"""Reads a YAML file with the line of every key, so that errors can say where."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from audio_pipeline.errors import ConfigError
from audio_pipeline.settings import Path as KeyPath
from audio_pipeline.settings import Places

MAX_BYTES = 1 << 20
MAX_DEPTH = 32


def read_yaml(file: Path) -> tuple[dict[str, Any], Places]:
    """The mapping in `file` and the places of its keys. Raises ConfigError."""
    try:
        text = file.read_bytes()[: MAX_BYTES + 1].decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 text (byte {error.start})") from error
    return parse_yaml(text, str(file))


def parse_yaml(text: str, name: str) -> tuple[dict[str, Any], Places]:
    """As `read_yaml`, from text; `name` stands for the file in errors."""
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{name}: is larger than {MAX_BYTES} bytes")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[KeyPath, int] = {}
        value = _construct(root, (), lines, name)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).split("\n")[0]
        raise ConfigError(f"{name}{where}: not valid YAML: {problem}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{name}: expected a map with 'version' and 'nodes', got {type(value).__name__}")
    return value, Places(name, lines)


def _construct(node: yaml.Node | None, path: KeyPath, lines: dict[KeyPath, int], name: str) -> Any:
    if node is None:
        return None
    if len(path) > MAX_DEPTH:
        raise ConfigError(f"{name}:{node.start_mark.line + 1}: nested deeper than {MAX_DEPTH} levels")
    if isinstance(node, yaml.MappingNode):
        return _construct_map(node, path, lines, name)
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*path, str(i)), lines, name) for i, item in enumerate(node.value)]
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node)  # type: ignore[no-untyped-call]
    finally:
        loader.dispose()  # type: ignore[no-untyped-call]


def _construct_map(node: yaml.MappingNode, path: KeyPath, lines: dict[KeyPath, int], name: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _construct(key_node, (*path, "?"), lines, name)
        line = key_node.start_mark.line + 1
        if not isinstance(key, Hashable) or isinstance(key, tuple):
            raise ConfigError(f"{name}:{line}: a key must be text, got {key!r}")
        key = str(key)
        if key in result:
            raise ConfigError(f"{name}:{line}: key {'.'.join((*path, key))!r} stands twice")
        lines[(*path, key)] = line
        result[key] = _construct(value_node, (*path, key), lines, name)
    return result
