"""The words of the control protocol as bytes: msgpack maps. See `docs/protocol.md`."""

from __future__ import annotations

from typing import Any

from audio_pipeline.errors import WireError
from audio_pipeline.packed import BYTES, dumps, unpack_map

VERSION = 1
MAX_BYTES = 1 << 22
# what a word of the wrong shape raises where it is used
MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def encode(word: dict[str, Any]) -> bytes:
    """A control word as one message."""
    packed: bytes = dumps(word)
    return packed


def decode(message: bytes) -> dict[str, Any]:
    """The control word in a message. Raises WireError."""
    word = unpack_map(message, "control word", MAX_BYTES, BYTES)
    if not isinstance(word.get("op", ""), str):
        raise WireError("control word is not a map with a text 'op'")
    return word


def request(message: bytes) -> dict[str, Any]:
    """As `decode`, for a word that has to be answered: its id can be said back. Raises WireError."""
    word = decode(message)
    number = word.get("id")
    if number is not None and not isinstance(number, (int, str)):
        raise WireError(f"control word has an id of type {type(number).__name__}, expected a whole number or text")
    return word
