"""The frame on the wire: one message, a fixed little-endian header and then the payload.

`header_bytes` stands in the header, so a reader skips fields it does not know. See `docs/protocol.md`.
"""

from __future__ import annotations

import struct
import sys
from typing import Any

import numpy as np

from audio_pipeline.errors import WireError
from audio_pipeline.frame import MAX_CHANNELS, MAX_RATE, MAX_SAMPLES, MIN_RATE, Flag, Format, Frame, Samples
from audio_pipeline.packed import UNPACKABLE, dumps, unpack_map

MAGIC = b"APF1"
VERSION = 1
# magic version header_bytes format channels | rate samples payload_bytes | flags clock_id | epoch stream |
# seq position captured_ns | generation sent_age_us
HEADER = struct.Struct("<4sBBBBIIIHHIIQQqII")
SOURCES = struct.Struct("<I")  # behind it, where a frame is a mix: how many sources, then each one's tag and how much
SOURCE = struct.Struct("<II")  # younger its newest sample is than `captured_ns`, in µs
MAX_SOURCES = (255 - HEADER.size - SOURCES.size) // SOURCE.size
MAX_EVENT_BYTES = 1 << 16
MAX_AGE_US = (1 << 32) - 1
MAX_SEQ = (1 << 62) - 1  # with a window added it can still be packed
MAX_POSITION = 1 << 53  # exact in a float and at any other rate within 63 bits; 372 years at 768 kHz
MAX_CAPTURED_NS = 1 << 61  # by the clock of another host too

_KNOWN_FLAGS = 0x7F
_FIXED = HEADER.size
_BYTES_PER_SAMPLE = {int(Format.F32): 4, int(Format.S16): 2}
_NATIVE = sys.byteorder == "little"
_F4 = np.dtype("<f4")
_F32, _EVENT, _GAP = int(Format.F32), int(Format.EVENT), int(Flag.GAP)


def pack(frame: Frame) -> bytes:
    """The frame as one message."""
    return pack_as(frame, frame.seq, frame.epoch, frame.sent_age_us)


def pack_as(frame: Frame, seq: int, epoch: int, sent_age_us: int) -> bytes:
    """The frame as one message, under the number, the epoch and the age that its port gives it."""
    code, payload, payload_bytes = _payload(frame)
    more = _pack_sources(frame.sources) if frame.sources else b""
    head = HEADER.pack(
        MAGIC,
        VERSION,
        HEADER.size + len(more),
        code,
        frame.channels,
        frame.rate,
        frame.samples,
        payload_bytes,
        frame.flags,
        frame.clock_id,
        epoch,
        frame.stream,
        seq,
        frame.position,
        frame.captured_ns,
        frame.generation,
        sent_age_us,
    )
    return b"".join((head, more, payload))


def _pack_sources(sources: tuple[tuple[int, int], ...]) -> bytes:
    kept = sources[:MAX_SOURCES]
    return SOURCES.pack(len(kept)) + b"".join(SOURCE.pack(tag, younger_us) for tag, younger_us in kept)


def _parse_sources(head: memoryview) -> tuple[tuple[int, int], ...]:
    """What stands between the fixed header and the payload; fields after it are for later readers."""
    if len(head) < SOURCES.size:
        return ()
    (count,) = SOURCES.unpack_from(head)
    held = head[SOURCES.size : SOURCES.size + min(count, MAX_SOURCES) * SOURCE.size]
    return tuple(SOURCE.iter_unpack(held[: len(held) // SOURCE.size * SOURCE.size]))


_FLAGS = struct.Struct("<H")
_FLAGS_AT = 20


def flagged(message: bytes, flag: Flag) -> bytes:
    """A packed frame with one more flag set."""
    (flags,) = _FLAGS.unpack_from(message, _FLAGS_AT)
    return message[:_FLAGS_AT] + _FLAGS.pack(flags | flag) + message[_FLAGS_AT + 2 :]


def pack_event(event: dict[str, Any]) -> bytes:
    """An event's payload. Raises WireError where it holds what msgpack cannot, or what nobody could read again."""
    try:
        packed: bytes = dumps(event, "backslashreplace")  # an event is for people: names of files as they are shown
    except UNPACKABLE as error:
        raise WireError(f"event {event.get('kind')!r} cannot be sent: {error}") from error
    if len(packed) > MAX_EVENT_BYTES:
        raise WireError(f"event {event.get('kind')!r} has {len(packed)} bytes, expected at most {MAX_EVENT_BYTES}")
    try:
        _parse_event(packed)
    except WireError as error:
        raise WireError(
            f"event {event.get('kind')!r} cannot be sent, since no reader would accept it: {error}"
        ) from error
    return packed


def _payload(frame: Frame) -> tuple[int, bytes | memoryview, int]:
    """Format, what to copy, and how many bytes that is."""
    if frame.event is not None:
        packed = pack_event(frame.event)
        return _EVENT, packed, len(packed)
    data = frame.data
    if data is None:
        return _F32, b"", 0
    if not (_NATIVE and data.dtype == np.float32 and data.flags.c_contiguous):
        data = np.ascontiguousarray(data, _F4)
    return _F32, data.data, data.nbytes


def numbered(message: bytes) -> tuple[int, int] | None:
    """Epoch and number of a frame that `parse` refuses; None where not even its fixed header can be read."""
    if len(message) < HEADER.size:
        return None
    magic, version, *_, epoch, _, seq, _, _, _, _ = HEADER.unpack_from(message)
    return (epoch, seq) if (magic, version) == (MAGIC, VERSION) and seq <= MAX_SEQ else None


def parse(message: bytes) -> Frame:
    """The frame in `message`. Raises WireError with the reason; every length is checked before it is read."""
    if len(message) < _FIXED:
        raise WireError(f"frame of {len(message)} bytes is shorter than its {_FIXED}-byte header")
    (
        magic,
        version,
        header_bytes,
        code,
        channels,
        rate,
        samples,
        payload_bytes,
        flags,
        clock_id,
        epoch,
        stream,
        seq,
        position,
        captured_ns,
        generation,
        sent_age_us,
    ) = HEADER.unpack_from(message)
    if magic != MAGIC or version != VERSION or header_bytes < _FIXED or header_bytes + payload_bytes != len(message):
        raise _unreadable(message)
    if not MIN_RATE <= rate <= MAX_RATE:
        raise WireError(f"frame states a rate of {rate} Hz, expected {MIN_RATE} to {MAX_RATE}")
    if seq > MAX_SEQ or position > MAX_POSITION or not -MAX_CAPTURED_NS < captured_ns < MAX_CAPTURED_NS:
        raise WireError(f"frame states number {seq}, position {position}, captured at {captured_ns} ns: out of range")
    sources = _parse_sources(memoryview(message)[HEADER.size : header_bytes]) if header_bytes > _FIXED else ()
    flags &= _KNOWN_FLAGS
    data, event = None, None
    if code == _EVENT:
        samples = channels = 0
        event = _parse_event(memoryview(message)[header_bytes:])
    elif not 1 <= channels <= MAX_CHANNELS or samples > MAX_SAMPLES:
        raise WireError(f"frame states {channels} channels of {samples} samples")
    elif flags & _GAP:
        _check_gap(payload_bytes)
    else:
        data = _parse_samples(message, header_bytes, code, samples, channels)
    return Frame(
        data,
        position,
        samples,
        rate,
        channels,
        flags,
        seq,
        epoch,
        stream,
        generation,
        captured_ns,
        clock_id,
        sent_age_us,
        event,
        sources,
    )


def _unreadable(message: bytes) -> WireError:
    """What is wrong with a header that is no frame's, or not of this one."""
    magic, version, header_bytes, _, _, _, _, payload_bytes, *_ = HEADER.unpack_from(message)
    if magic != MAGIC:
        return WireError(f"frame starts with {magic!r}, expected {MAGIC!r}")
    if version != VERSION:
        return WireError(f"frame has protocol version {version}, expected {VERSION}")
    return WireError(
        f"frame of {len(message)} bytes states {header_bytes} bytes of header and {payload_bytes} of payload"
    )


def _parse_event(body: bytes | memoryview) -> dict[str, Any]:
    event = unpack_map(body, "event", MAX_EVENT_BYTES)
    if not all(isinstance(key, str) for key in event):
        raise WireError("event has a key that is no text, expected a map with text keys")
    return event


def _check_gap(payload_bytes: int) -> None:
    if payload_bytes:
        raise WireError(f"gap frame carries {payload_bytes} bytes of payload, expected none")


def _parse_samples(message: bytes, start: int, code: int, samples: int, channels: int) -> Samples:
    width = _BYTES_PER_SAMPLE.get(code)
    if width is None:
        raise WireError(f"frame has format {code}, expected f32 (1) or s16 (2)")
    body_bytes = len(message) - start
    if body_bytes != samples * channels * width:
        raise WireError(
            f"frame payload has {body_bytes} bytes, expected {samples} samples x {channels} channels x {width}"
        )
    if width == 2:
        return (np.frombuffer(message, "<i2", offset=start).astype(np.float32) / 32768.0).reshape(samples, channels)
    found: Samples = np.ndarray((samples, channels), _F4, message, start)  # as `frombuffer`, and half as long
    return found if _NATIVE else found.astype(np.float32)
