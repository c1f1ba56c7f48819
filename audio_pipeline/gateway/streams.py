"""Streams: several ports on one connection. Each message carries its stream, in the header of a frame or as a key."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from audio_pipeline.control import codec as control
from audio_pipeline.errors import WireError
from audio_pipeline.frame_codec import MAGIC
from audio_pipeline.links.limits import MAX_STREAM
from audio_pipeline.packed import dumps

STREAM_AT, STREAM = 28, struct.Struct("<I")  # in the header of a frame
_FIXMAP, _FIXMAP_MOST, _MAP16, _MAP32 = 0x80, 15, 0xDE, 0xDF  # msgpack's maps, by their first byte


def is_frame(message: bytes) -> bool:
    """Whether a message is a frame; no other begins so."""
    return message[:1] == MAGIC[:1]


def stream_of(message: bytes) -> int:
    """The stream of a frame; 0 where it has no whole header."""
    return int(STREAM.unpack_from(message, STREAM_AT)[0]) if len(message) >= STREAM_AT + STREAM.size else 0


def stream_in(message: Mapping[str, object]) -> int:
    """The stream of a message that is no frame. Raises WireError for what cannot be one."""
    stream = message.get("stream", 0)
    if type(stream) is not int or not 0 <= stream <= MAX_STREAM:
        raise WireError(f"stream {stream!r:.40} of a message, expected a whole number of 32 bits")
    return stream


def with_stream(message: bytes, stream: int) -> bytes:
    """A frame or a short message, marked for its stream. Raises WireError."""
    if is_frame(message):
        if len(message) < STREAM_AT + STREAM.size:
            return message
        return message[:STREAM_AT] + STREAM.pack(stream) + message[STREAM_AT + STREAM.size :]
    written = control.codec_of(message)
    return written.encode({**written.decode(message), "stream": stream})


def control_with_stream(message: bytes, stream: int) -> bytes:
    """A reply, msgpack or JSON, with its stream as the last key. It may be long, so it is not unpacked."""
    if control.codec_of(message) is control.JSON:
        return message[:-1] + b',"stream":%d}' % stream
    return _grown_head(message) + dumps("stream") + dumps(stream)


def _grown_head(message: bytes) -> bytes:
    """A msgpack map that announces one more key than before."""
    first = message[0]
    if _FIXMAP <= first < _FIXMAP + _FIXMAP_MOST:
        return bytes([first + 1]) + message[1:]
    if first == _FIXMAP + _FIXMAP_MOST:
        return struct.pack(">BH", _MAP16, _FIXMAP_MOST + 1) + message[1:]
    if first == _MAP16:
        return struct.pack(">BI", _MAP32, int.from_bytes(message[1:3], "big") + 1) + message[3:]
    if first == _MAP32:
        return struct.pack(">BI", _MAP32, int.from_bytes(message[1:5], "big") + 1) + message[5:]
    raise WireError(f"control message begins with {first:#04x}, expected a map")
