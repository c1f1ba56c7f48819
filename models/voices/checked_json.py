"""Frozen dataclasses out of JSON that anybody may have written: every field there, of its type, and no other."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from typing import Any, TypeVar

T = TypeVar("T")

LONGEST_TEXT = 2_000
LONGEST_LIST = 1_000
LARGEST = 1e15


def parse(cls: type[T], text: bytes | str) -> T:
    """The dataclass that a JSON document describes. Raises ValueError naming the key and what was expected."""
    try:
        raw = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no JSON: {error}") from error
    return typing.cast(T, _value(cls, raw, ""))


def dump(value: Any) -> str:
    """A dataclass as JSON."""
    return json.dumps(dataclasses.asdict(value), indent=1, ensure_ascii=False, allow_nan=False)


def _no_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _value(kind: Any, raw: Any, where: str) -> Any:
    """`raw` as the type `kind`: a dataclass, a plain value, `X | None`, `tuple[X, ...]` or `dict[str, X]`."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _fields(kind, raw, where)
    if origin in (typing.Union, types.UnionType):
        return None if raw is None else _value(inner[0], raw, where)
    if origin is tuple:
        return tuple(_value(inner[0], item, where) for item in _sized(raw, list, where))
    if origin is dict:
        return {
            _plain(str, name, where): _value(inner[1], raw[name], f"{where}.{name}"[:80])
            for name in _sized(raw, dict, where)
        }
    return _plain(kind, raw, where)


def _fields(cls: Any, raw: Any, where: str) -> Any:
    raw = _sized(raw, dict, where)
    types_of = typing.get_type_hints(cls)
    if strange := sorted(map(str, set(raw) - set(types_of))):
        raise ValueError(f"{_path(where, repr(strange[0]))} is not known")
    if missing := [name for name in types_of if name not in raw]:
        raise ValueError(f"{_path(where, missing[0])} is missing")
    return cls(**{name: _value(kind, raw[name], _path(where, name)) for name, kind in types_of.items()})


def _plain(kind: Any, raw: Any, where: str) -> Any:
    wanted = (int, float) if kind is float else kind
    if not isinstance(raw, wanted) or (isinstance(raw, bool) and kind is not bool):
        raise ValueError(f"{where}: expected {kind.__name__}, got {raw!r:.40}")
    if isinstance(raw, str) and (len(raw) > LONGEST_TEXT or not raw.isprintable()):  # it may be shown on a terminal
        raise ValueError(f"{where}: expected at most {LONGEST_TEXT} printable characters, got {raw!r:.40}")
    if isinstance(raw, (int, float)) and not (math.isfinite(raw) and abs(raw) < LARGEST):
        raise ValueError(f"{where}: expected a number of sense, got {raw!r:.40}")
    return float(raw) if kind is float else raw


def _sized(raw: Any, kind: type[list[Any]] | type[dict[str, Any]], where: str) -> Any:
    if not isinstance(raw, kind):
        raise ValueError(f"{where or 'the document'}: expected a {kind.__name__}, got {raw!r:.40}")
    if len(raw) > LONGEST_LIST:
        raise ValueError(f"{where or 'the document'}: {len(raw)} entries are too many")
    return raw


def _path(where: str, name: str) -> str:
    return f"{where}.{name}"[-80:] if where else name[:80]
