"""Reads a YAML file with the line of every key, so that errors can say where."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from audio_pipeline.errors import ConfigError
from audio_pipeline.places import Path as KeyPath
from audio_pipeline.places import Places

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_VALUES = 50_000  # aliases of aliases make a few lines as large as one likes
EXPONENT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+")  # 1e-3 is text in YAML 1.1
DATE = "tag:yaml.org,2002:timestamp"  # a folder called 2024-05-01 is text


def read_yaml(file: Path) -> tuple[dict[str, object], Places]:
    """The mapping in `file` and the places of its keys. Raises ConfigError."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror})") from error
    _check_size(len(data), str(file))
    try:
        value, places = parse_yaml(data.decode("utf-8"), str(file))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 text (byte {error.start})") from error
    places.folder = "" if file.parent == Path() else str(file.parent)
    return value, places


def parse_yaml(text: str, name: str) -> tuple[dict[str, object], Places]:
    """As `read_yaml`, from text; `name` stands for the file in errors."""
    _check_size(len(text), name)
    builder = _Builder(name)
    try:
        value = builder.value(yaml.compose(text, Loader=yaml.SafeLoader), ())
    except RecursionError as error:
        raise builder.too_deep("") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).split("\n")[0]
        raise ConfigError(f"{name}{where}: not valid YAML: {problem}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{name}: expected a map with 'version' and 'nodes', got {type(value).__name__}")
    return value, Places(name, builder.lines)


def value_of(text: str) -> Any:
    """The value that somebody typed as YAML understands it, where that is more than text; text keeps its `#` and `: `.

    >>> value_of("-6"), value_of("true"), value_of("Number # one"), value_of("'12:30'")
    (-6, True, 'Number # one', '12:30')
    """
    try:
        value = parse_yaml(f"value: {text}", "")[0]["value"]
    except ConfigError:
        return text
    return text if isinstance(value, str) and text[:1] not in ("'", '"') else value


def _check_size(size: int, name: str) -> None:
    if size > MAX_BYTES:
        raise ConfigError(f"{name}: is larger than {MAX_BYTES} bytes")


class _Builder:
    """Turns YAML nodes into plain values and notes where their keys stand."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[KeyPath, int] = {}
        self._left = MAX_VALUES
        self._loader = yaml.SafeLoader("")

    def value(self, node: yaml.Node | None, path: KeyPath) -> Any:
        if node is None:
            return None
        if len(path) > MAX_DEPTH:
            raise self.too_deep(self._at(node))
        self._left -= 1
        if self._left < 0:
            raise ConfigError(f"{self.name}{self._at(node)}: holds more than {MAX_VALUES} values, aliases resolved")
        if isinstance(node, yaml.MappingNode):
            return self._map(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, str(i))) for i, item in enumerate(node.value)]
        return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> Any:
        if node.tag == DATE:
            return node.value
        if isinstance(node, yaml.ScalarNode) and node.style is None and EXPONENT.fullmatch(node.value):
            return float(node.value)
        try:
            return self._loader.construct_object(node)
        except (ValueError, LookupError, AttributeError) as error:  # PyYAML's own for `!!int ''` and the like
            expected = node.tag.rpartition(":")[2]
            raise ConfigError(
                f"{self.name}{self._at(node)}: not valid YAML: {node.value!r} is no {expected}"
            ) from error

    def _map(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{self.name}{self._at(key_node)}: a key must be text, not a list or a map")
            key = str(key_node.value)  # as written: `on` and `2024` are names here
            place = (*path, key)
            if key in result:
                raise ConfigError(f"{self.name}{self._at(key_node)}: key {'.'.join(place)!r} stands twice")
            self.lines[place] = key_node.start_mark.line + 1
            result[key] = self.value(value_node, place)
        return result

    def too_deep(self, where: str) -> ConfigError:
        return ConfigError(f"{self.name}{where}: nested deeper than {MAX_DEPTH} levels")

    @staticmethod
    def _at(node: yaml.Node) -> str:
        return f":{node.start_mark.line + 1}"
