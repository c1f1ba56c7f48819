"""Words of the command line: tables, values, assignments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from audio_pipeline.errors import ConfigError
from audio_pipeline.graph.yamlfile import value_of

MOST_POSITION = 1 << 62


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


class Assignment(NamedTuple):
    """A live setting and what somebody typed for it; what that means is decided where the setting is known."""

    node: str
    name: str
    value: Any  # as YAML understands it
    typed: str  # word for word


def assignment(text: str) -> Assignment:
    """Node, live setting and value of `mix.inputs.vocals.gain_db=-6`.

    >>> tuple(assignment("mix.inputs.vocals.gain_db=-6"))
    ('mix', 'inputs.vocals.gain_db', -6, '-6')
    """
    key, equals, value = text.partition("=")
    node, dot, name = key.strip().partition(".")
    if not (equals and dot and node and name):
        raise ConfigError(f"{text!r}: expected NODE.NAME=VALUE, such as mix.inputs.vocals.gain_db=-6")
    return Assignment(node, name, value_of(value.strip()), value.strip())


def timed_assignment(text: str, rate: int) -> tuple[int, Assignment]:
    """Position and assignment of `5s:mix.inputs.vocals.gain_db=-60`; a bare number is in samples.

    >>> timed_assignment("0.5s:mix.gain_db=-6", 48000)
    (24000, Assignment(node='mix', name='gain_db', value=-6, typed='-6'))
    """
    when, colon, rest = text.partition(":")
    try:
        position = round(float(when.removesuffix("s")) * rate) if when.endswith("s") else int(when)
    except (ValueError, OverflowError):  # inf is a number of seconds to `float`
        position = -1
    if not colon or not 0 <= position < MOST_POSITION:
        raise ConfigError(f"--at {text!r}: expected TIME:NODE.NAME=VALUE, such as 5s:mix.inputs.vocals.gain_db=-60")
    return position, assignment(rest)
