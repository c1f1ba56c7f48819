"""Live values as text: `mix.gain_db=-6`, now or at a position of the graph's clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from audio_pipeline.errors import ConfigError
from audio_pipeline.graph.types import Graph
from audio_pipeline.graph.yamlfile import value_of
from audio_pipeline.setting_values import value_at
from audio_pipeline.settings import replaced

MAX_POSITION = 1 << 62


class Assignment(NamedTuple):
    """A live setting and the text given for it; the setting's type decides later what that text means."""

    node: str
    name: str
    value: Any  # as YAML reads it
    typed: str  # verbatim


def split_key(key: str) -> tuple[str, str]:
    """Node and live setting of a dotted key. Raises ConfigError.

    >>> split_key("mix.inputs.vocals.gain_db")
    ('mix', 'inputs.vocals.gain_db')
    """
    node, _, name = key.strip().partition(".")
    if not (node and name):
        raise ConfigError(f"{key!r}: expected NODE.NAME, such as mix.inputs.vocals.gain_db")
    return node, name


def assignment(text: str) -> Assignment:
    """Node, live setting and value of `mix.inputs.vocals.gain_db=-6`. Raises ConfigError.

    >>> tuple(assignment("mix.inputs.vocals.gain_db=-6"))
    ('mix', 'inputs.vocals.gain_db', -6, '-6')
    """
    key, equals, value = text.partition("=")
    node, dot, name = key.strip().partition(".")
    if not (equals and dot and node and name):
        raise ConfigError(f"{text!r}: expected NODE.NAME=VALUE, such as mix.inputs.vocals.gain_db=-6")
    return Assignment(node, name, value_of(value.strip()), value.strip())


def timed_assignment(text: str, rate: int) -> tuple[int, Assignment]:
    """Position in samples and assignment of `5s:mix.inputs.vocals.gain_db=-60`; a bare number is in samples.

    >>> timed_assignment("0.5s:mix.gain_db=-6", 48000)
    (24000, Assignment(node='mix', name='gain_db', value=-6, typed='-6'))
    """
    when, colon, rest = text.partition(":")
    try:
        position = round(float(when.removesuffix("s")) * rate) if when.endswith("s") else int(when)
    except (ValueError, OverflowError):  # `float` takes inf for a number of seconds
        position = -1
    if not colon or not 0 <= position < MAX_POSITION:
        raise ConfigError(f"--at {text!r}: expected TIME:NODE.NAME=VALUE, such as 5s:mix.inputs.vocals.gain_db=-60")
    return position, assignment(rest)


def schedule(graph: Graph, texts: Sequence[str]) -> dict[str, list[list[Any]]]:
    """Timed assignments by node: [position, setting, value]. Raises ConfigError for a setting that is not live."""
    found: dict[str, list[list[Any]]] = {}
    for text in texts:
        position, (node, name, value, typed) = timed_assignment(text, graph.rate)
        if node not in graph.nodes:
            raise ConfigError(f"--at {text!r}: unknown node {node!r}; known: {', '.join(graph.nodes)}")
        found.setdefault(node, []).append([position, name, _checked(graph, node, name, value, typed)])
    return found


def _checked(graph: Graph, node: str, name: str, value: Any, typed: str) -> Any:
    """The value as the setting's type has it."""
    spec, path = graph.nodes[node], ("nodes", node)
    if not name.startswith("inputs."):
        return value_at(replaced(spec.settings, name, value, path, typed), name)
    short = name.removeprefix("inputs.")
    return value_at(replaced(dict(spec.input_settings), short, value, (*path, "inputs"), typed), short)
