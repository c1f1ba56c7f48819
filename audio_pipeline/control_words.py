"""The words of the control protocol as bytes: msgpack maps. See `docs/protocol.md`."""

from __future__ import annotations

from typing import Any

import msgpack

from audio_pipeline.errors import WireError

VERSION = 1
MAX_BYTES = 1 << 22
MAX_DEPTH = 32  # of lists and maps in a request
# what a word of the wrong shape raises where it is used
MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def encode(word: dict[str, Any]) -> bytes:
    """A control word as one message."""
    packed: bytes = msgpack.packb(word)
    return packed


def decode(message: bytes) -> dict[str, Any]:
    """The control word in a message. Raises WireError."""
    if len(message) > MAX_BYTES:
        raise WireError(f"control word of {len(message)} bytes, expected at most {MAX_BYTES}")
    try:
        word = msgpack.unpackb(message)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise WireError(f"control word is not msgpack: {error}") from error
    if not isinstance(word, dict) or not isinstance(word.get("op", ""), str):
        raise WireError("control word is not a map with a text 'op'")
    return word


def request(message: bytes) -> dict[str, Any]:
    """As `decode`, for a word that has to be answered: its id can be said back, and nothing lies too deep in it.

    Deeper lists end the recursion of whoever prints or packs them. Raises WireError.
    """
    word = decode(message)
    number = word.get("id")
    if number is not None and not isinstance(number, (int, str)):
        raise WireError(f"control word has an id of type {type(number).__name__}, expected a whole number or text")
    if _is_deep(word, MAX_DEPTH):
        raise WireError(f"control word is nested deeper than {MAX_DEPTH} levels")
    return word


def _is_deep(value: Any, left: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return left == 0 or any(_is_deep(item, left - 1) for item in inner)
