"""Words of the command line: tables, values, assignments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audio_pipeline.errors import ConfigError


def columns(rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), indent: str = "  ") -> list[str]:
    """Rows as aligned lines; the columns numbered in `right` are set right.

    >>> columns([("link", "ms"), ("a", "12")], right=[1])
    ['  link  ms', '  a     12']
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    lines = []
    for row in rows:
        cells = [
            f"{cell:>{width}}" if i in right else f"{cell:{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines


def value_of(text: str) -> Any:
    """A value as YAML understands it; what is not YAML stays text.

    >>> value_of("-6"), value_of("true"), value_of("loud"), value_of("-1.5")
    (-6, True, 'loud', -1.5)
    """
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def assignment(text: str) -> tuple[str, str, Any]:
    """Node, live setting and value of `mix.inputs.vocals.gain_db=-6`.

    >>> assignment("mix.inputs.vocals.gain_db=-6")
    ('mix', 'inputs.vocals.gain_db', -6)
    """
    key, equals, value = text.partition("=")
    node, dot, name = key.strip().partition(".")
    if not (equals and dot and node and name):
        raise ConfigError(f"{text!r}: expected NODE.NAME=VALUE, such as mix.inputs.vocals.gain_db=-6")
    return node, name, value_of(value.strip())


def timed_assignment(text: str, rate: int) -> tuple[int, str, str, Any]:
    """Position, node, setting and value of `5s:mix.inputs.vocals.gain_db=-60`; a bare number is in samples.

    >>> timed_assignment("0.5s:mix.gain_db=-6", 48000)
    (24000, 'mix', 'gain_db', -6)
    """
    when, colon, rest = text.partition(":")
    try:
        position = round(float(when.removesuffix("s")) * rate) if when.endswith("s") else int(when)
    except ValueError:
        position = -1
    if not colon or position < 0:
        raise ConfigError(f"--at {text!r}: expected TIME:NODE.NAME=VALUE, such as 5s:mix.inputs.vocals.gain_db=-60")
    return (position, *assignment(rest))
