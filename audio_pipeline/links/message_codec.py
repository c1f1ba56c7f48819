"""Link messages as msgpack, as JSON and as plain maps; whatever comes is checked by the rules of its fields."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple

from audio_pipeline.errors import ConfigError, WireError
from audio_pipeline.links.limits import MAX_MESSAGE_BYTES, PROTOCOL
from audio_pipeline.links.messages import MESSAGES, LinkMessage
from audio_pipeline.packed import dumps, dumps_json, unpack_json_map, unpack_map
from audio_pipeline.settings import build, key_of, rule_of

WHAT = "link message"
SENTENCE_CHARACTERS = 160  # a refusal repeats no more than this of what came


class MessageError(WireError):
    """A message of a known kind whose fields are not as they should be."""

    def __init__(self, kind: str, stream: int, sentence: str) -> None:
        super().__init__(sentence if len(sentence) <= SENTENCE_CHARACTERS else f"{sentence[:SENTENCE_CHARACTERS]}…")
        self.kind, self.stream = kind, stream


def pack(message: LinkMessage) -> bytes:
    """A message as msgpack; `t` comes first."""
    return dumps(fields(message))


def pack_json(message: LinkMessage) -> bytes:
    """A message as JSON, for whoever has no msgpack."""
    return dumps_json(fields(message))


def unpack(data: bytes) -> LinkMessage:
    """The message in some msgpack. Raises WireError.

    >>> from audio_pipeline.links.messages import Credit
    >>> unpack(pack(Credit(epoch=1, delivered=4, granted=9)))
    Credit(stream=0, epoch=1, delivered=4, granted=9, greeting=None)
    """
    return from_map(unpack_map(data, WHAT, MAX_MESSAGE_BYTES))


def unpack_json(data: bytes | str) -> LinkMessage:
    """The message in some JSON. Raises WireError.

    >>> unpack_json('{"t": "refused", "why": 5}')
    Traceback (most recent call last):
    audio_pipeline.links.message_codec.MessageError: refused.why: expected text, got 5
    """
    return from_map(unpack_json_map(data, WHAT, MAX_MESSAGE_BYTES))


def fields(message: LinkMessage) -> dict[str, Any]:
    """A message as a plain map; what it does not say, and stream 0, is left out."""
    found: dict[str, Any] = {"t": message.KIND}
    for key, value in message.__dict__.items():
        if value is not None and (value or key != "stream"):
            found[key.rstrip("_")] = value
    return found


def from_map(raw: Mapping[str, Any]) -> LinkMessage:
    """The message in a plain map; keys that are not known are ignored. Raises WireError.

    What fits is taken as it is: credit comes for every third frame. `settings.build` says of the rest what is wrong.
    """
    kind = raw.get("t")
    if not isinstance(kind, str):
        raise WireError(f"{WHAT} has t = {kind!r:.40}, expected text")
    cls = MESSAGES.get(kind, LinkMessage)
    shape = _SHAPES[cls]
    values: dict[str, Any] = {}
    for key, name, wanted, low, high in shape.fields:
        if key in raw:
            values[name] = value = raw[key]
            if type(value) is not wanted or (low is not None and not low <= value <= high):
                return _built(cls, kind, raw)
    if shape.versioned and raw.get("v", PROTOCOL) != PROTOCOL or not shape.required <= values.keys():
        return _built(cls, kind, raw)
    return cls(**values)


class _Field(NamedTuple):
    key: str  # on the wire
    name: str
    wanted: Any  # its type
    low: float | None
    high: float


class _Shape(NamedTuple):
    fields: tuple[_Field, ...]
    required: frozenset[str]
    versioned: bool


def _shape_of(cls: type[LinkMessage]) -> _Shape:
    hints, known = typing.get_type_hints(cls), dataclasses.fields(cls)
    found = tuple(_field(field, hints[field.name]) for field in known)
    required = frozenset(field.name for field in known if field.default is dataclasses.MISSING)
    return _Shape(found, required, "v" in hints)


def _field(field: dataclasses.Field[Any], hint: Any) -> _Field:
    rule = rule_of(field)
    wanted = next(arg for arg in typing.get_args(hint) or (hint,) if arg is not type(None))
    high = math.inf if rule.maximum is None else rule.maximum
    return _Field(key_of(field), field.name, wanted, rule.minimum, high)


_SHAPES: dict[type[LinkMessage], _Shape] = {LinkMessage: _shape_of(LinkMessage)}
_SHAPES.update((cls, _shape_of(cls)) for cls in MESSAGES.values())


def _built(cls: type[LinkMessage], kind: str, raw: Mapping[str, Any]) -> LinkMessage:
    """The same by the slow way, which takes what may be nil and names what does not fit."""
    shape = _SHAPES[cls]
    stream = raw.get("stream", 0) if isinstance(raw.get("stream", 0), int) else 0
    if shape.versioned and raw.get("v", PROTOCOL) != PROTOCOL:
        raise MessageError(kind, stream, f"protocol version {raw['v']!r:.40}, expected {PROTOCOL}")
    try:
        return build(cls, {field.key: raw[field.key] for field in shape.fields if field.key in raw}, (kind,))
    except ConfigError as error:
        raise MessageError(kind, stream, str(error)) from error
