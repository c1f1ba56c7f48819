"""The words of the control protocol as bytes: msgpack maps. See `docs/protocol.md`."""

from __future__ import annotations

from typing import Any

import msgpack

from audio_pipeline.errors import WireError

VERSION = 1
MAX_BYTES = 1 << 22


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
