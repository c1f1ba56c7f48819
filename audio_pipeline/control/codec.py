"""Control messages as bytes: msgpack, or JSON for whoever has no msgpack. Transports are elsewhere.

The first byte tells them apart: a JSON object begins with `{`, a msgpack map never does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Protocol

from audio_pipeline.control.message import fields_of
from audio_pipeline.errors import WireError
from audio_pipeline.packed import BYTES, dumps, dumps_json, unpack_json_map, unpack_map

VERSION = 2
MAX_BYTES = 1 << 22
WHAT = "control message"
# what a message of the wrong shape raises where it is used
MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class Codec(Protocol):
    """One way to write a message: maps and message dataclasses to bytes, bytes to maps."""

    name: str

    def encode(self, message: Any) -> bytes:
        """Raises one of `packed.UNPACKABLE` for what has no place in a message."""

    def decode(self, data: bytes) -> dict[str, Any]:
        """The map in a message of at most 4 MiB and 32 levels. Raises WireError."""

    def joined(self, head: object, data: bytes) -> bytes:
        """`head`, a message of at most 14 keys, with `data`, which is encoded already, under the key `data`."""


class MsgpackCodec:
    """Compact; bytes of file names that are no text survive."""

    name = "msgpack"

    def encode(self, message: Any) -> bytes:
        return dumps(message, default=fields_of)

    def decode(self, data: bytes) -> dict[str, Any]:
        return unpack_map(data, WHAT, MAX_BYTES, BYTES)

    def joined(self, head: object, data: bytes) -> bytes:
        packed = self.encode(head)
        return bytes([packed[0] + 1]) + packed[1:] + self.encode("data") + data


class JsonCodec:
    """Strict JSON: a number that is not finite becomes null."""

    name = "json"

    def encode(self, message: Any) -> bytes:
        try:
            return dumps_json(message, fields_of)
        except ValueError:  # a number that JSON has no sign for, or a value that contains itself
            return dumps_json(_finite(_plain(message)))

    def decode(self, data: bytes) -> dict[str, Any]:
        return unpack_json_map(data, WHAT, MAX_BYTES)

    def joined(self, head: object, data: bytes) -> bytes:
        return self.encode(head)[:-1] + b',"data":' + data + b"}"


MSGPACK, JSON = MsgpackCodec(), JsonCodec()
CODECS: tuple[Codec, ...] = (MSGPACK, JSON)


def codec_of(data: bytes) -> Codec:
    """The codec in which a message was written."""
    return JSON if data[:1] == b"{" else MSGPACK


def encode(message: Mapping[str, object]) -> bytes:
    """A message as msgpack, as our own processes write it."""
    return MSGPACK.encode(dict(message))


def decode(data: bytes) -> dict[str, Any]:
    """The map in a message of either codec. Raises WireError."""
    found = codec_of(data).decode(data)
    if not isinstance(found.get("op", ""), str):
        raise WireError(f"{WHAT} is not a map with a text 'op'")
    return found


def request(data: bytes) -> dict[str, Any]:
    """As `decode`, for a message that has to be answered: its id can be repeated. Raises WireError."""
    found = decode(data)
    number = found.get("id")
    if number is not None and not isinstance(number, (int, str)):
        raise WireError(f"{WHAT} has an id of type {type(number).__name__}, expected a whole number or text")
    return found


def _plain(message: Any) -> Any:
    return json.loads(json.dumps(message, default=fields_of))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
