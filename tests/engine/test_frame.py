from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audio_pipeline.errors import WireError
from audio_pipeline.frame import MAX_CHANNELS, MAX_SAMPLES, Flag, Format, Frame, audio_frame, event_frame, gap_frame
from audio_pipeline.frame_codec import (
    HEADER,
    MAX_CAPTURED_NS,
    MAX_EVENT_BYTES,
    MAX_POSITION,
    MAX_SEQ,
    MAX_SOURCES,
    flagged,
    numbered,
    pack,
    parse,
)

U16, U32, U64 = (1 << 16) - 1, (1 << 32) - 1, (1 << 64) - 1
FIELDS = (
    "magic",
    "version",
    "header",
    "code",
    "channels",
    "rate",
    "samples",
    "length",
    "flags",
    "clock_id",
    "epoch",
    "stream",
    "seq",
    "position",
    "captured",
    "generation",
    "reserved",
)

stamps = st.fixed_dictionaries(
    {
        "seq": st.integers(0, MAX_SEQ),
        "epoch": st.integers(0, U32),
        "stream": st.integers(0, U32),
        "generation": st.integers(0, U32),
        "captured_ns": st.integers(1 - MAX_CAPTURED_NS, MAX_CAPTURED_NS - 1),
        "clock_id": st.integers(0, U16),
    }
)
sound_flags = st.sampled_from(
    [Flag.NONE, Flag.DISCONTINUITY, Flag.CONCEALED | Flag.SEGMENT_END, Flag.END | Flag.REPLAY]
)
rates = st.sampled_from([1_000, 8_000, 44_100, 48_000, 768_000])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), U64) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def packed(payload: bytes | None = None, **over: Any) -> bytes:
    """A good message with payload and header fields replaced; its `length` of the payload is right unless given."""
    message = pack(audio_frame(np.ones((3, 2), np.float32), 7, 48_000))
    payload = message[HEADER.size :] if payload is None else payload
    fields = dict(zip(FIELDS, HEADER.unpack_from(message), strict=True)) | {"length": len(payload)} | over
    return HEADER.pack(*fields.values()) + payload


def same(a: Frame, b: Frame) -> bool:
    """Equality to the bit; dataclass equality cannot compare arrays."""
    datas = (a.data is None) == (b.data is None) and a.audio().tobytes() == b.audio().tobytes()
    return datas and replace(a, data=None) == replace(b, data=None)


@given(st.lists(st.tuples(st.integers(0, U32), st.integers(0, U32)), max_size=MAX_SOURCES))
def test_a_mix_says_what_it_holds(sources: list[tuple[int, int]]) -> None:
    frame = audio_frame(np.ones((3, 2), np.float32), 7, 48_000, sources=tuple(sources))
    message = pack(frame)
    assert same(parse(message), frame) and message.endswith(frame.audio().tobytes())
    assert message[5] == len(message) - 24 == (68 + 8 * len(sources) if sources else 64)


def test_more_sources_than_fit_are_left_out() -> None:
    frame = gap_frame(0, 7, 48_000, 2, sources=tuple((tag, 0) for tag in range(100)))
    assert parse(pack(frame)).sources == frame.sources[:MAX_SOURCES]


@given(st.binary(max_size=191))
def test_any_bytes_may_follow_the_fixed_header(more: bytes) -> None:
    """Fields of later versions, or garbage: the payload begins where the header says."""
    message = packed(header=64 + len(more))
    frame = parse(message[:64] + more + message[64:])
    assert frame.audio().all() and len(frame.sources) <= len(more) // 8


def test_the_header_has_64_bytes() -> None:
    assert HEADER.size == 64


positions = st.integers(0, MAX_POSITION)


@given(st.integers(0, 50), st.integers(1, MAX_CHANNELS), positions, rates, sound_flags, stamps, st.randoms())
def test_sound_survives_the_wire_to_the_bit(
    samples: int, channels: int, position: int, rate: int, flags: Flag, fields: dict[str, int], random: Any
) -> None:
    bits = np.frombuffer(random.randbytes(samples * channels * 4), "<u4")  # NaN and Inf among them
    frame = audio_frame(bits.view("<f4").reshape(samples, channels), position, rate, flags=flags, **fields)
    assert same(parse(pack(frame)), frame)


@given(st.integers(0, MAX_SAMPLES), st.integers(0, MAX_POSITION), rates, sound_flags, stamps)
def test_gaps_survive_the_wire(samples: int, position: int, rate: int, flags: Flag, fields: dict[str, int]) -> None:
    frame = gap_frame(samples, position, rate, 2, flags=flags, **fields)
    assert len(pack(frame)) == HEADER.size
    assert parse(pack(frame)) == frame and frame.flags & Flag.GAP
    assert frame.audio().shape == (samples, 2)


@given(st.dictionaries(st.text(), values, max_size=4), st.integers(0, MAX_POSITION), rates, stamps)
def test_events_survive_the_wire(event: dict[str, Any], position: int, rate: int, fields: dict[str, int]) -> None:
    frame = event_frame(event, position, rate, **fields)
    assert parse(pack(frame)) == frame


def deep(levels: int) -> list[Any]:
    """Lists in lists."""
    return [deep(levels - 1)] if levels > 1 else []


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.float32(1), "event 'score' cannot be sent: can not serialize 'numpy.float32' object"),
        (1 << 64, "event 'score' cannot be sent: Integer value out of range"),
        ("x" * MAX_EVENT_BYTES, "event 'score' has 655.. bytes, expected at most 65536"),
        ({1: 2}, "event 'score' cannot be sent, since no reader would accept it: .* int is not allowed for map key"),
        (
            deep(32),
            "event 'score' cannot be sent, since no reader would accept it: event is nested deeper than 32 levels",
        ),
    ],
)
def test_an_event_that_cannot_be_sent_is_refused_by_name(value: object, said: str) -> None:
    with pytest.raises(WireError, match=said):
        pack(event_frame({"kind": "score", "value": value}, 0, 48_000))


def test_what_is_sent_as_an_event_can_be_read() -> None:
    event = {"kind": "score", "value": deep(31)}
    assert parse(pack(event_frame(event, 0, 48_000))).event == event
    with pytest.raises(WireError, match="event 'score' cannot be sent, since no reader would accept it: .* no text"):
        pack(event_frame({"kind": "score", b"value": 1}, 0, 48_000))  # type: ignore[dict-item]


def test_a_frame_that_cannot_be_read_still_has_its_number() -> None:
    good = pack(audio_frame(np.ones((3, 2), np.float32), 7, 48_000, epoch=4, seq=9))
    assert numbered(good) == numbered(good[:-1]) == numbered(good[: HEADER.size]) == (4, 9)
    for message in (b"", good[: HEADER.size - 1], b"APF2" + good[4:], good[:4] + b"\x02" + good[5:]):
        assert numbered(message) is None


def test_orientation_is_never_guessed() -> None:
    with pytest.raises(WireError, match=r"shape \(480,\), expected \(samples, channels\)"):
        audio_frame(np.zeros(480, np.float32), 0, 48_000)


def test_other_layouts_in_memory_are_the_same_on_the_wire() -> None:
    x = np.arange(12, dtype=np.float32).reshape(6, 2)
    for view in (np.asfortranarray(x), np.concatenate([x, x], axis=1)[:, :2], x.astype(">f4")):
        np.testing.assert_array_equal(parse(pack(audio_frame(view, 0, 48_000))).audio(), x)


def test_sixteen_bit_payloads_are_read() -> None:
    ints = np.array([[-32768, 0], [16384, 32767]], "<i2")
    frame = parse(packed(ints.tobytes(), code=Format.S16, samples=2))
    np.testing.assert_array_equal(frame.audio(), [[-1.0, 0.0], [0.5, 32767 / 32768]])


@given(st.sampled_from(list(Flag)), st.sampled_from(list(Flag)))
def test_flagged_adds_a_flag_and_changes_nothing_else(had: Flag, more: Flag) -> None:
    frame = audio_frame(np.ones((5, 2), np.float32), 99, 44_100, flags=had & ~Flag.GAP, seq=4, generation=3)
    got = parse(flagged(pack(frame), more & ~Flag.GAP))
    assert same(got, replace(frame, flags=frame.flags | (more & ~Flag.GAP)))


@given(st.integers(0, 9), st.sampled_from([0, 10**9]))
def test_the_parts_of_a_frame_make_it_whole(at: int, captured_ns: int) -> None:
    """What is said of a beginning stays there, what is said of an end stays there; ages go with samples."""
    begin, end = Flag.SEGMENT_START | Flag.DISCONTINUITY, Flag.SEGMENT_END | Flag.END
    x = np.arange(9, dtype=np.float32)[:, None]
    whole = audio_frame(x, 100, 1_000, flags=begin | end | Flag.CONCEALED, captured_ns=captured_ns, seq=3)
    head, rest = whole.cut(at)
    np.testing.assert_array_equal(np.concatenate([head.audio(), rest.audio()]), x)
    assert (head.position, head.end, rest.position, rest.end) == (100, 100 + at, 100 + at, 109)
    assert (head.flags, rest.flags) == (begin | Flag.CONCEALED, end | Flag.CONCEALED)
    assert rest.captured_ns == captured_ns
    assert head.captured_ns == (captured_ns - (9 - at) * 1_000_000 if captured_ns else 0)


@given(st.binary(max_size=300))
@example(b"")
@example(b"APF1")
def test_any_bytes_are_a_frame_or_a_wire_error(message: bytes) -> None:
    read(message)


@given(st.dictionaries(st.sampled_from(FIELDS[1:]), st.integers(0, U16), max_size=5), st.binary(max_size=200))
def test_hostile_headers_are_a_frame_or_a_wire_error(over: dict[str, int], payload: bytes) -> None:
    fields = {name: value & 0xFF if name in FIELDS[1:5] else value for name, value in over.items()}
    read(packed(payload, **fields))
    read(packed(**fields))


@given(st.binary(max_size=100))
def test_hostile_events_are_a_frame_or_a_wire_error(payload: bytes) -> None:
    read(packed(payload, code=Format.EVENT))


def read(message: bytes) -> None:
    """Parses; anything but a frame that holds what it says, or WireError, fails the test."""
    try:
        frame = parse(message)
    except WireError:
        return
    assert frame.event is not None or frame.audio().shape == (frame.samples, frame.channels)
    assert frame.samples <= MAX_SAMPLES


def test_every_cut_of_a_message_is_refused() -> None:
    message = packed()
    for length in range(len(message)):
        with pytest.raises(WireError):
            parse(message[:length])


def test_a_longer_header_is_skipped() -> None:
    message = packed(header=72)
    frame = parse(message[: HEADER.size] + b"newstuff" + message[HEADER.size :])
    np.testing.assert_array_equal(frame.audio(), np.ones((3, 2), np.float32))


@pytest.mark.parametrize(
    ("over", "payload", "words"),
    [
        ({"magic": b"RIFF"}, None, "starts with b'RIFF', expected b'APF1'"),
        ({"version": 2}, None, "protocol version 2, expected 1"),
        ({"header": 60}, None, "states 60 bytes of header"),
        ({"length": 23}, None, "88 bytes states 64 bytes of header and 23 of payload"),
        ({"rate": 0}, None, "rate of 0 Hz"),
        ({"rate": U32}, None, "rate of 4294967295 Hz"),
        ({"channels": 0}, None, "0 channels"),
        ({"channels": MAX_CHANNELS + 1}, None, "33 channels"),
        ({"samples": MAX_SAMPLES + 1}, None, "1048577 samples"),
        ({"samples": 4}, None, "payload has 24 bytes, expected 4 samples x 2 channels x 4"),
        ({"code": 3}, None, "format 3, expected"),
        ({"code": 99}, None, "format 99, expected"),
        ({"flags": Flag.GAP}, None, "gap frame carries 24 bytes"),
        ({"code": Format.EVENT}, None, "event"),
        ({"code": Format.EVENT}, b"\xc1", "not msgpack"),
        ({"code": Format.EVENT}, b"", "not msgpack"),
        ({"code": Format.EVENT}, msgpack.packb([1, 2]), "event is a list"),
        ({"code": Format.EVENT}, b"\x81\xc4\x00\x01", "text keys"),
        ({"code": Format.EVENT}, b"\x91" * 2000, "not msgpack"),
        ({"code": Format.EVENT}, b"\xdd\xff\xff\xff\xff", "not msgpack"),
        ({"code": Format.EVENT}, bytes(MAX_EVENT_BYTES + 1), "at most 65536"),
    ],
)
def test_what_is_wrong_is_said(over: dict[str, Any], payload: bytes | None, words: str) -> None:
    with pytest.raises(WireError, match=words):
        parse(packed(payload, **over))


def test_unknown_flags_are_dropped() -> None:
    assert parse(packed(flags=0xFF80 | Flag.CONCEALED)).flags == Flag.CONCEALED


def test_a_huge_claim_allocates_nothing() -> None:
    """A 64-byte gap may state a million samples, but memory is only taken when somebody listens to it."""
    assert parse(pack(gap_frame(MAX_SAMPLES, 0, 48_000, MAX_CHANNELS))).data is None
    with pytest.raises(struct.error):
        pack(gap_frame(1 << 32, 0, 48_000, 2))


@pytest.mark.parametrize(
    "over",
    [
        {"seq": MAX_SEQ + 1},
        {"seq": U64},
        {"position": MAX_POSITION + 1},
        {"position": U64},
        {"captured": MAX_CAPTURED_NS},
        {"captured": -(1 << 63)},
    ],
)
def test_numbers_that_could_not_be_reckoned_with_are_refused(over: dict[str, int]) -> None:
    """With a window added, at another rate, by another host's clock: what follows from a number must be packable."""
    with pytest.raises(WireError, match=r"^frame states number \d+, position \d+, captured at -?\d+ ns: out of range$"):
        parse(packed(**over))


def test_the_number_of_a_frame_beyond_all_windows_is_none() -> None:
    assert numbered(packed(seq=MAX_SEQ + 1)) is None and numbered(packed(seq=MAX_SEQ)) == (0, MAX_SEQ)
