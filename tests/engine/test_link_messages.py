"""Link messages: what is packed is read again, in either form, and what does not fit is refused by name."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import msgpack
import pytest

from audio_pipeline.errors import WireError
from audio_pipeline.links.limits import MAX_STREAM, MOST, MOST_NS, PROTOCOL
from audio_pipeline.links.message_codec import MessageError, from_map, pack, pack_json, unpack, unpack_json
from audio_pipeline.links.messages import MESSAGES, Credit, Hello, LinkMessage, TimelineChange, Welcome
from audio_pipeline.settings import rule_of

LEAST: dict[str, dict[str, Any]] = {
    "hello": {"v": PROTOCOL, "instance": 1, "window": 5},
    "credit": {"delivered": 0, "granted": 5},
    "refused": {"why": "wrong token"},
    "timeline": {"timeline": "next", "epoch": 1, "from_": 9},
    "offer": {"v": PROTOCOL, "instance": 1},
    "time": {"t1": -5},
    "audible": {"position": 0, "at": -5, "buffer_ms": 0.5, "underruns": 0},
    "leaving": {"in_s": 0},
}


def extreme(cls: type[LinkMessage]) -> LinkMessage:
    """A message with each field at the end of what it may be."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        rule = rule_of(field)
        other = {"int": PROTOCOL, "float": 1e300}.get(str(field.type), "é\u2028")
        values[field.name] = other if rule.maximum is None else rule.maximum
    return cls(**values)


@pytest.mark.parametrize("cls", MESSAGES.values(), ids=list(MESSAGES))
def test_what_is_packed_is_read_again_in_either_form(cls: type[LinkMessage]) -> None:
    for message in (cls(**LEAST.get(cls.KIND, {})), extreme(cls)):
        assert unpack(pack(message)) == unpack_json(pack_json(message)) == message
        assert unpack_json(pack_json(message).decode()) == message
        assert next(iter(msgpack.unpackb(pack(message)))) == next(iter(json.loads(pack_json(message)))) == "t"


def test_what_a_message_does_not_say_takes_no_place() -> None:
    assert msgpack.unpackb(pack(Credit(delivered=4, granted=9))) == {"t": "credit", "delivered": 4, "granted": 9}
    assert msgpack.unpackb(pack(Welcome(stream=3, greeting=0, window=50))) == {
        "t": "welcome", "stream": 3, "v": 1, "epoch": 0, "greeting": 0, "window": 50,
    }  # fmt: skip
    change = TimelineChange(timeline="next", epoch=2, from_=9)
    assert json.loads(pack_json(change)) == {"t": "timeline", "timeline": "next", "epoch": 2, "from": 9}


def test_keys_and_kinds_of_a_newer_peer_are_passed_over() -> None:
    assert from_map({"t": "credit", "delivered": 1, "granted": 2, "loudness": [1]}) == Credit(delivered=1, granted=2)
    assert from_map({"t": "applause", "stream": 7, "clap": 1}) == LinkMessage(stream=7)


def test_nil_stands_for_what_may_be_left_out() -> None:
    assert from_map({"t": "hello", "v": 1, "instance": 1, "window": 5, "since": None}) == Hello(
        v=1, instance=1, window=5
    )


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"t": "credit", "delivered": 1}, "credit.granted: missing, expected a whole number"),
        ({"t": "credit", "delivered": "1", "granted": 2}, "credit.delivered: expected a whole number"),
        ({"t": "credit", "delivered": 1, "granted": MOST + 1}, "credit.granted: expected a whole number"),
        ({"t": "credit", "delivered": 1, "granted": 2, "stream": MAX_STREAM + 1}, "credit.stream: expected"),
        ({"t": "who", "stream": -1}, "who.stream: expected"),
        ({"t": "bye", "delivered": True}, "bye.delivered: expected a whole number"),
        ({"t": "time", "t1": MOST_NS + 1}, "time.t1: expected"),
        ({"t": "refused", "why": b"no"}, "refused.why: expected text"),
        ({"t": "timeline", "timeline": "x", "epoch": 1}, "timeline.from: missing"),
        ({"t": "hello", "v": 9, "instance": "new"}, "protocol version 9, expected 1"),
        ({"t": "hello", "instance": 1, "window": 5}, "hello.v: missing"),
        ({"t": "hello", "v": 1, "instance": 1, "window": "x" * 9_000}, "hello.window: expected a whole number"),
    ],
)
def test_what_does_not_fit_is_named(raw: dict[str, Any], sentence: str) -> None:
    with pytest.raises(MessageError) as raised:
        from_map(raw)
    assert str(raised.value).startswith(sentence) and len(str(raised.value)) < 200
    assert raised.value.kind == raw["t"]


@pytest.mark.parametrize("raw", [{}, {"t": 5}, {"t": None}, {"t": ["hello"]}])
def test_a_message_without_a_kind_is_none(raw: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="^link message has t = .*, expected text$"):
        from_map(raw)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"{", "link message is not JSON"),
        (b"[1]", "link message is a list, expected a map"),
        (b'{"t": "time", "t1": NaN}', "NaN is no JSON number"),
        (b'{"t": "bye", "x": ' + b"[" * 90 + b"]" * 90 + b"}", "nested deeper than 32 levels"),
        (b'{"t": "who", "x": "' + bytes(4_096) + b'"}', "expected at most 4096"),
    ],
)
def test_json_has_the_same_bounds(data: bytes, sentence: str) -> None:
    with pytest.raises(WireError, match=sentence):
        unpack_json(data)
