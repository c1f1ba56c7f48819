"""What a field of settings or of a message accepts, and how that is said."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from typing import Any, Union

LARGE = 1 << 24


@dataclass(frozen=True)
class Rule:
    """What one field accepts and what it means."""

    doc: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] | None = None
    live: bool = False  # may be changed while the pipeline runs
    file: bool | tuple[str, ...] = False  # a path, but for these words; in a pipeline file relative to it
    most: int | None = None  # items of a list


def expectation(hint: Any, rule: Rule) -> str:
    """In words what a field accepts: `a number >= 0 and <= 24`."""
    if rule.choices:
        return "one of " + ", ".join(str(choice) for choice in rule.choices)
    expected = _TYPE_WORDS.get(_bare(hint), "a value")
    if dataclasses.is_dataclass(_bare(hint)):
        expected = "settings (key: value)"
    bounds = [f">= {rule.minimum:g}" for _ in [0] if rule.minimum is not None]
    bounds += [_upper(rule.maximum) for _ in [0] if rule.maximum is not None]
    return " ".join([expected, " and ".join(bounds)]).strip()


def _upper(maximum: float) -> str:
    """The limit of what fits so many bits is that power of two."""
    if isinstance(maximum, int) and maximum >= LARGE and (maximum + 1).bit_count() == 1:
        return f"< 2^{maximum.bit_length()}"
    return f"<= {maximum:g}"


_TYPE_WORDS: dict[Any, str] = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "text",
    tuple: "a list",
    dict: "a map",
}


def _bare(hint: Any) -> Any:
    """The type behind Optional and generics."""
    if typing.get_origin(hint) in (Union, types.UnionType):
        return _bare(next(arg for arg in typing.get_args(hint) if arg is not type(None)))
    return typing.get_origin(hint) or hint
