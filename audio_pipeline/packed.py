"""Maps as msgpack or JSON, from whoever may have sent them: links, events and control read theirs here."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgpack

from audio_pipeline.errors import WireError

BYTES = "surrogateescape"  # as in os.fsdecode
MAX_DEPTH = 32  # of lists and maps
UNPACKABLE = (TypeError, ValueError, OverflowError, RecursionError)  # what msgpack raises for what it cannot pack


def dumps(value: Any, errors: str = BYTES, default: Callable[[Any], Any] | None = None) -> bytes:
    """A value as msgpack. Bytes of a file name that are no text survive, or become what `errors` says."""
    packed: bytes = msgpack.packb(value, unicode_errors=errors, default=default)
    return packed


def loads(data: bytes | memoryview, errors: str = BYTES) -> Any:
    """The inverse of `dumps`, for what our own processes wrote."""
    return msgpack.unpackb(data, unicode_errors=errors)


def unpack_map(data: bytes | memoryview, what: str, most_bytes: int, errors: str = "strict") -> dict[Any, Any]:
    """The map in a message; nothing in it lies deeper than `MAX_DEPTH`. Raises WireError, which calls it
    `what`. Text is UTF-8; with `errors` BYTES it may hold bytes of file names.

    msgpack reads a thousand levels, and those end the recursion of whoever prints or packs them later.
    """
    if len(data) > most_bytes:
        raise WireError(f"{what} of {len(data)} bytes, expected at most {most_bytes}")
    try:
        found = loads(data, errors)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise WireError(f"{what} is not msgpack: {error}") from error
    return checked_map(found, what)


def dumps_json(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """A value as strict JSON. Raises ValueError for a number that JSON has no sign for."""
    return json.dumps(value, default=default, allow_nan=False, separators=(",", ":")).encode()


def unpack_json_map(data: bytes | str, what: str, most_bytes: int) -> dict[str, Any]:
    """As `unpack_map`, for strict JSON. Raises WireError."""
    if len(data) > most_bytes:
        raise WireError(f"{what} of {len(data)} bytes, expected at most {most_bytes}")
    try:
        found = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise WireError(f"{what} is not JSON: {error}") from error
    return checked_map(found, what)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def checked_map(found: Any, what: str) -> dict[Any, Any]:
    """A decoded value that is a map, nothing of which lies deeper than `MAX_DEPTH`. Raises WireError."""
    if not isinstance(found, dict):
        raise WireError(f"{what} is a {type(found).__name__}, expected a map")
    if _is_deep(found, MAX_DEPTH):
        raise WireError(f"{what} is nested deeper than {MAX_DEPTH} levels")
    return found


def _is_deep(value: dict[Any, Any] | list[Any], left: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value
    return left == 0 or any(_is_deep(item, left - 1) for item in inner if isinstance(item, (dict, list)))
