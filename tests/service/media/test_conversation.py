"""What a peer and the inside say to each other: pure, messages in and steps out."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.frame import audio_frame
from audio_pipeline.frame_codec import pack
from audio_pipeline.links.messages import Refused
from audio_pipeline.packed import dumps
from audio_pipeline.service.media.conversation import (
    BAD,
    GREET_FOR_NS,
    GREET_NS,
    MOST_STREAMS,
    QUEUE_FRAMES,
    Answer,
    Conversation,
    End,
    Inward,
)

HELLO = {"t": "hello", "v": 1, "stream": 1, "port": "mix.out", "format": "s16", "window": 12, "instance": 7}
OFFER = {"t": "offer", "v": 1, "stream": 2, "node": "singer", "format": "s16", "instance": 7, "greeting": 0}
CREDIT = {"t": "credit", "stream": 1, "epoch": 1, "delivered": 3, "granted": 15}
AUDIBLE = {"t": "audible", "stream": 1, "position": 0, "at": 0, "buffer_ms": 0, "underruns": 0}
S = 10**9


def text(fields: Any) -> bytes:
    return json.dumps(fields).encode()


def frame(stream: int) -> bytes:
    return pack(audio_frame(np.zeros((480, 1), np.float32), 0, 48_000, seq=1, epoch=1, stream=stream))


def inside(step: object) -> dict[str, Any]:
    """What is passed on."""
    assert isinstance(step, Inward)
    found: dict[str, Any] = msgpack.unpackb(step.message)
    return found


def refused(step: object) -> Refused:
    assert isinstance(step, Answer)
    return step.refused


def test_a_hello_goes_inside_with_a_short_queue() -> None:
    passed = inside(Conversation().on_text(text({**HELLO, "since": None, "unknown": {"a": [1]}}), 0))
    assert passed["t"] == "hello" and passed["port"] == "mix.out" and passed["window"] == 12
    assert passed["queue"] == QUEUE_FRAMES and "unknown" not in passed


@pytest.mark.parametrize(("asked", "queue"), [(5, 5), (99_999, QUEUE_FRAMES), (None, QUEUE_FRAMES)])
def test_a_peer_does_not_decide_how_much_sound_waits_for_it(asked: int | None, queue: int) -> None:
    assert inside(Conversation().on_text(text({**HELLO, "queue": asked}), 0))["queue"] == queue


def test_a_greeting_is_repeated_until_it_is_answered() -> None:
    said = Conversation()
    said.on_text(text(HELLO), 0)
    assert list(said.due(GREET_NS - 1)) == []
    assert [inside(step)["t"] for step in said.due(GREET_NS)] == ["hello"]
    said.outward(dumps({"t": "welcome", "stream": 1}))
    assert not said.is_waiting and list(said.due(S)) == []


def test_a_greeting_that_nobody_answers_is_refused_once() -> None:
    said = Conversation()
    said.on_text(text(OFFER), 0)
    (step,) = said.due(GREET_FOR_NS + 1)
    assert refused(step).code == "silent" and refused(step).stream == 2
    assert list(said.due(2 * GREET_FOR_NS)) == []
    assert refused(said.on_binary(frame(2), 0)).code == "bad"


def test_frames_go_inside_only_on_a_stream_that_was_offered() -> None:
    said = Conversation()
    assert refused(said.on_binary(frame(2), 0)).stream == 2
    said.on_text(text(OFFER), 0)
    assert said.on_binary(frame(2), 0) == Inward(frame(2))
    said.on_text(text({"t": "bye", "stream": 2}), 0)
    assert refused(said.on_binary(frame(2), 0)).code == "bad"


def test_a_refusal_from_inside_closes_the_stream() -> None:
    said = Conversation()
    said.on_text(text(OFFER), 0)
    refusal = {"t": "refused", "stream": 2, "code": "busy", "why": "'Bob' plays here already"}
    assert json.loads(said.outward(dumps(refusal))) == refusal
    assert said.refused == {"busy": 1}
    assert refused(said.on_binary(frame(2), 0)).code == "bad"


@pytest.mark.parametrize(
    "message",
    [
        {**CREDIT, "delivered": 3.5},
        {**CREDIT, "delivered": 3.0},
        {**CREDIT, "granted": -1},
        {**CREDIT, "epoch": 1 << 62},
        {**CREDIT, "epoch": True},
        {**CREDIT, "stream": 1 << 32},
        {**HELLO, "v": 2},
        {**HELLO, "port": 5},
        {"t": "op", "op": "stop"},
        {"t": "time", "t1": 1 << 60},
        {"t": "welcome"},
        {"t": "still"},
        {"stream": 1},
        [],
        "credit",
        None,
        7,
    ],
)
def test_a_message_that_is_wrong_is_refused_with_the_reason(message: object) -> None:
    said = refused(Conversation().on_text(text(message), 0))
    assert said.code == "bad" and said.why


def test_what_the_refusal_says_names_the_field() -> None:
    said = refused(Conversation().on_text(text({**CREDIT, "delivered": "x"}), 0))
    assert said.why == "credit.delivered: expected a whole number >= 0 and < 2^62, got 'x'" and said.stream == 1


def test_text_that_is_too_long_or_no_text_ends_the_connection() -> None:
    assert Conversation().on_text(b"x" * 4_097, 0) == End(1009, "text of 4097 bytes, expected at most 4096")
    assert Conversation().on_text(b"\xff{}", 0) == End(1007, "text that is not UTF-8")


def test_somebody_who_sends_nothing_but_rubbish_is_answered_so_often_and_no_more() -> None:
    said = Conversation()
    steps = [said.on_text(b"rubbish", 0) for _ in range(int(BAD) + 1)]
    assert all(isinstance(step, Answer) for step in steps[:-1]) and steps[-1] == End(
        1008, "too many messages that cannot be read"
    )
    assert isinstance(said.on_text(b"rubbish", 2 * S), Answer), "after a rest"


def test_a_report_of_what_is_heard_stays_here() -> None:
    said = Conversation()
    report = {"t": "audible", "stream": 1, "position": 480, "at": 5, "buffer_ms": 20, "underruns": 2}
    assert said.on_text(text(report), 0) is None
    assert (said.audible[1].position, said.audible[1].buffer_ms, said.audible[1].underruns) == (480, 20.0, 2)
    said.on_text(text({"t": "bye", "stream": 1}), 0)
    assert said.audible == {}


def test_what_is_remembered_of_a_peer_is_bounded() -> None:
    said = Conversation()
    for stream in range(3 * MOST_STREAMS):
        said.on_text(text({**HELLO, "stream": stream}), 0)
        said.on_text(
            text({"t": "audible", "stream": stream, "position": 0, "at": 0, "buffer_ms": 0, "underruns": 0}), 0
        )
    assert len(list(said.due(GREET_NS))) == MOST_STREAMS and len(said.audible) == MOST_STREAMS


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from("t v stream port node format instance greeting epoch t1 at op".split())
kinds = st.sampled_from("hello offer credit time bye audible".split())
maps = st.dictionaries(keys, values | kinds, max_size=8)


@given(st.lists(maps.map(text) | st.binary(max_size=80) | st.sampled_from([text(HELLO), text(OFFER)]), max_size=12))
def test_whatever_comes_leads_to_one_step_that_those_inside_can_read(texts: list[bytes]) -> None:
    said = Conversation()
    for at, sent in enumerate(texts):
        for step in (said.on_text(sent, at), said.on_binary(sent, at)):
            assert step is None or isinstance(step, (Answer, End, Inward))
            if isinstance(step, Answer):
                assert step.refused.why
            if isinstance(step, Inward):
                assert inside(step)["t"] in ("hello", "offer", "credit", "alive", "time", "bye")


@given(st.binary(max_size=200).map(lambda rest: b"APF1" + rest))
def test_what_only_looks_like_a_frame_is_passed_on_where_it_was_offered_and_never_read_here(message: bytes) -> None:
    said = Conversation()
    said.on_text(text({**OFFER, "stream": 0}), 0)
    step = said.on_binary(message, 0)
    assert step == Inward(message) or refused(step).code == "bad"
