"""Typed, validated settings: frozen dataclasses whose fields say what they accept.

`build` turns what a YAML file or a command said into such a dataclass, or raises ConfigError that
names the key, the value, the expectation and the place.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, Union

from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.places import Path, Places
from audio_pipeline.rules import Rule, expectation

T = TypeVar("T")
LARGEST = 1 << 63  # whole numbers have to fit the wire


def setting(
    default: Any = dataclasses.MISSING,
    doc: str = "",
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[Any, ...] | None = None,
    live: bool = False,
    file: bool | tuple[str, ...] = False,
) -> Any:
    """A dataclass field with its rule; a mutable default is given as a zero-argument callable."""
    rule = Rule(doc, unit, minimum, maximum, choices, live, file)
    if callable(default) and default is not dataclasses.MISSING:
        return dataclasses.field(default_factory=typing.cast(Callable[[], Any], default), metadata={"rule": rule})
    return dataclasses.field(default=default, metadata={"rule": rule})


def items(doc: str, most: int) -> Any:
    """A field for a list of at most so many; more are not even read."""
    return dataclasses.field(metadata={"rule": Rule(doc, most=most)})


def key_of(field: dataclasses.Field[Any]) -> str:
    """What a field is called in a file or a message: `from_` is `from`, which is no name in Python."""
    return field.name.rstrip("_")


def rule_of(field: dataclasses.Field[Any]) -> Rule:
    """The rule a field was declared with."""
    rule = field.metadata.get("rule")
    return rule if isinstance(rule, Rule) else Rule("")


def fail(path: Path, message: str, places: Places) -> ConfigError:
    """The one shape of a settings error."""
    where = ".".join(path)
    return ConfigError(f"{where + ': ' if where else ''}{message}{places.of(path)}")


def build(cls: type[T], raw: Mapping[str, Any], path: Path = (), places: Places | None = None) -> T:
    """An instance of the settings dataclass `cls` from plain values.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Gain:
    ...     gain_db: float = setting(0.0, "level", maximum=24)
    >>> build(Gain, {"gain_db": "loud"}, ("nodes", "mix"))
    Traceback (most recent call last):
    audio_pipeline.errors.ConfigError: nodes.mix.gain_db: expected a number <= 24, got 'loud'
    """
    places = places or Places()
    if not isinstance(raw, Mapping):
        raise fail(path, f"expected settings (key: value), got {raw!r}", places)
    hints = _hints(cls)
    known = {key_of(field): field for field in dataclasses.fields(typing.cast(Any, cls))}
    values = {
        field.name: _convert(hints[field.name], rule_of(field), raw[key], (*path, key), places)
        for key, field in known.items()
        if key in raw
    }
    for key in raw:
        if key not in known:
            raise fail((*path, str(key)), _unknown("key", str(key), known, cls), places)
    for key, field in known.items():
        if key not in raw and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise fail((*path, key), f"missing, expected {expectation(hints[field.name], rule_of(field))}", places)
    try:
        return cls(**values)
    except ConfigError as error:  # of settings that do not go together: it begins with the name of one
        key, _, message = str(error).partition(": ")
        if key.partition(".")[0] not in known:
            raise
        raise fail((*path, *key.split(".")), message, places) from error


_HINTS: dict[type, dict[str, Any]] = {}  # of every class that was built


def _hints(cls: type) -> dict[str, Any]:
    """The types of its fields, read once: that takes longer than to check what comes."""
    if cls not in _HINTS:
        _HINTS[cls] = typing.get_type_hints(cls)
    return _HINTS[cls]


def variant_of(cls: type[T], raw: Any) -> type[T]:
    """The subclass whose fields `raw` has, for a class that says so by a class method `variant`."""
    chosen = getattr(cls, "variant", None)
    return chosen(raw) if isinstance(chosen, types.MethodType) and isinstance(raw, Mapping) else cls


def replaced(settings: T, name: str, value: Any, path: Path = (), typed: str | None = None) -> T:
    """`settings` with the live setting `name` (dotted for nested ones) changed. Raises ConfigError.

    `typed` is what somebody typed for it, word for word, where `value` is only what that could mean.
    """
    head, _, rest = name.partition(".")
    here = (*path, head)
    if isinstance(settings, dict):
        _check_known(head, settings, here)
        return typing.cast(T, {**settings, head: replaced(settings[head], rest, value, here, typed)})
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, settings))}
    _check_known(head, fields, here, type(settings))
    current = getattr(settings, head)
    if rest and isinstance(current, dict) and rule_of(fields[head]).live:
        _check_known(rest, current, (*here, rest))
        inner = typing.get_args(_hints(type(settings))[head])[1]
        one = _convert(inner, rule_of(fields[head]), value, (*here, rest), Places())
        changed: Any = {**current, rest: one}
    elif rest and (isinstance(current, dict) or dataclasses.is_dataclass(current)):
        changed = replaced(current, rest, value, here, typed)
    elif rest:
        raise fail(here, f"has no part {rest!r}", Places())
    elif not rule_of(fields[head]).live:
        raise fail(here, "cannot be changed while the pipeline runs", Places())
    else:
        places = Places()
        places.typed = {} if typed is None else {here: typed}
        changed = _convert(_hints(type(settings))[head], rule_of(fields[head]), value, here, places)
    return typing.cast(T, dataclasses.replace(typing.cast(Any, settings), **{head: changed}))


def _check_known(name: str, known: Mapping[str, Any], path: Path, cls: type | None = None) -> None:
    if name not in known:
        raise fail(path, _unknown("setting", name, known, cls), Places())


def _unknown(what: str, name: str, known: Mapping[str, Any], cls: type | None) -> str:
    """What to do about a name that is not known: one of `cls.RENAMED` has another now."""
    renamed: Mapping[str, str] = getattr(cls, "RENAMED", {})
    if name in renamed:
        return f"is now {renamed[name]}"
    return f"unknown {what}{nearest(name, known)}; known: {', '.join(known) or 'none'}"


def _convert(hint: Any, rule: Rule, value: Any, path: Path, places: Places) -> Any:
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        args = typing.get_args(hint)
        if value is None and type(None) in args:
            return None
        return _convert(next(arg for arg in args if arg is not type(None)), rule, value, path, places)
    if origin is tuple:
        return _convert_list(hint, rule, value, path, places)
    if origin is dict:
        return _convert_map(hint, rule, value, path, places)
    if dataclasses.is_dataclass(hint):
        return build(variant_of(typing.cast(type[Any], hint), value), value, path, places)
    return _convert_scalar(hint, rule, value, path, places)


def _convert_list(hint: Any, rule: Rule, value: Any, path: Path, places: Places) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise fail(path, f"expected a list, got {value!r}", places)
    if rule.most is not None and len(value) > rule.most:
        raise fail(path, f"expected a list of at most {rule.most}, got {len(value)}", places)
    inner = typing.get_args(hint)[0]
    return tuple(_convert(inner, rule, item, (*path, str(i)), places) for i, item in enumerate(value))


def _convert_map(hint: Any, rule: Rule, value: Any, path: Path, places: Places) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise fail(path, f"expected a map (name: value), got {value!r}", places)
    inner = typing.get_args(hint)[1]
    return {str(key): _convert(inner, rule, item, (*path, str(key)), places) for key, item in value.items()}


def _convert_scalar(hint: Any, rule: Rule, value: Any, path: Path, places: Places) -> Any:
    typed = places.typed_at(path)
    if hint is str and typed is not None and not isinstance(value, str):
        value = typed  # a song may be called 1999: the setting decides what was meant
    if rule.choices is not None and value not in rule.choices:
        close = nearest(str(value), [str(choice) for choice in rule.choices])
        raise fail(path, f"expected {expectation(hint, rule)}, got {value!r}{close}", places)
    whole = type(value) is int and -LARGEST <= value < LARGEST
    fits = whole if hint is int else hint is Any or type(value) is hint or (hint is float and whole)
    if not fits or (hint in (int, float) and not _within(rule, value)):
        raise fail(path, f"expected {expectation(hint, rule)}, got {value!r}", places)
    if rule.file and isinstance(value, str):
        allowed = rule.file if isinstance(rule.file, tuple) else ()
        return value if value in allowed else places.located(value, path)
    return float(value) if hint is float else value


def _within(rule: Rule, value: float) -> bool:
    """No NaN, no +Inf; -Inf is a level in dB."""
    low = -math.inf if rule.minimum is None else rule.minimum
    high = math.inf if rule.maximum is None else rule.maximum
    return value < math.inf and low <= value <= high
