"""Messages as frozen dataclasses: built from plain maps and checked by `settings`, refused with one sentence."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Hashable, Mapping
from typing import Any, Generic, TypeVar, Union

from audio_pipeline.errors import ConfigError, ControlError
from audio_pipeline.settings import build, key_of, variant_of

R_co = TypeVar("R_co", covariant=True)
M = TypeVar("M")
SENTENCE_CHARACTERS = 400  # a refusal repeats no more than this of what was sent


class Request(Generic[R_co]):
    """What a client asks for; `R_co` is the type of the reply."""


def built(cls: type[M], raw: Any, name: str) -> M:
    """A message from a map that a peer sent; a key that is not known is refused. Raises ControlError.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Seek:
    ...     seconds: float
    >>> built(Seek, {"seconds": "soon"}, "seek")
    Traceback (most recent call last):
    audio_pipeline.errors.ControlError: seek.seconds: expected a number, got 'soon'
    """
    try:
        return build(cls, raw, (name,))
    except ConfigError as error:
        raise ControlError(_clipped(str(error))) from error


def read(cls: type[M], raw: Any, name: str) -> M:
    """As `built`, for what a server sends: a newer one may add keys, which are ignored. Raises ControlError."""
    return built(variant_of(cls, raw), _known(cls, raw), name)


def fields_of(message: Any) -> dict[str, Any]:
    """A dataclass as a map, not nested ones: an encoder asks again for those. Raises TypeError for what is none."""
    if not dataclasses.is_dataclass(message) or isinstance(message, type):
        raise TypeError(f"a {type(message).__name__} has no place in a message")
    return {key: getattr(message, name) for key, name in _names(type(message)).items()}


@functools.cache
def _names(cls: Hashable) -> Mapping[str, str]:
    """Its fields by their keys."""
    return {key_of(field): field.name for field in dataclasses.fields(typing.cast(Any, cls))}


@functools.cache
def _hints(cls: Hashable) -> dict[str, Any]:
    return typing.get_type_hints(typing.cast(Any, cls))


def _known(hint: Any, raw: Any) -> Any:
    """What of `raw` the type `hint` has a field for."""
    if typing.get_origin(hint) in (Union, types.UnionType):
        hint = next(arg for arg in typing.get_args(hint) if arg is not type(None))
    if dataclasses.is_dataclass(hint) and isinstance(raw, Mapping):
        hint = variant_of(typing.cast(type[Any], hint), raw)
        hints = _hints(typing.cast(Hashable, hint))
        names = _names(typing.cast(Hashable, hint))
        return {key: _known(hints[name], raw[key]) for key, name in names.items() if key in raw}
    if typing.get_origin(hint) is tuple and _holds_messages(hint, 0) and isinstance(raw, (list, tuple)):
        return [_known(typing.get_args(hint)[0], item) for item in raw]
    if typing.get_origin(hint) is dict and _holds_messages(hint, 1) and isinstance(raw, Mapping):
        return {key: _known(typing.get_args(hint)[1], item) for key, item in raw.items()}
    return raw


def _holds_messages(hint: Any, index: int) -> bool:
    return dataclasses.is_dataclass(typing.get_args(hint)[index])


def _clipped(sentence: str) -> str:
    return sentence if len(sentence) <= SENTENCE_CHARACTERS else f"{sentence[:SENTENCE_CHARACTERS]}…"
