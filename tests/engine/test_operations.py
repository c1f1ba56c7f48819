"""The table of operations: every message survives both codecs, and what is odd is refused with one sentence."""

from __future__ import annotations

import dataclasses
import inspect
import math
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.control import incident, replies, requests, snapshots
from audio_pipeline.control.async_client import AsyncClient
from audio_pipeline.control.client import Client
from audio_pipeline.control.codec import CODECS, JSON, MAX_BYTES, MSGPACK, Codec, codec_of, decode
from audio_pipeline.control.conversation import Conversation, reply_of
from audio_pipeline.control.events import TYPES, Event, GraphEvent, IncidentEvent, LogEvent, NodeEvent, node_event
from audio_pipeline.control.message import SENTENCE_CHARACTERS, Request, built, read
from audio_pipeline.control.operations import BY_REQUEST, OPERATIONS, Operation, request_in
from audio_pipeline.control.pushes import EventBatch
from audio_pipeline.errors import ControlError, WireError
from audio_pipeline.graph_changes import Connect, Remove
from audio_pipeline.packed import MAX_DEPTH

REQUESTS: tuple[Request[Any], ...] = (
    requests.DescribeRequest(),
    requests.MetersRequest(),
    requests.LedgerRequest(),
    requests.SubscribeRequest(("events", "meters"), 200, 7),
    requests.AcknowledgeRequest(3, 17),
    requests.UnsubscribeRequest(3),
    requests.EventsRequest(12),
    requests.PortsRequest(),
    requests.SetRequest("mix", "inputs.vocals.gain_db", -6.5, at=48_000, typed="-6.5"),
    requests.SetRequest("tts", "text", None),
    requests.TransportRequest("song", "seek", {"seconds": 12.5}),
    requests.SendRequest("voice", "text", {"kind": "text", "text": "Guten Abend. ✓"}),
    requests.StopRequest(),
    requests.GraphRequest(),
    requests.EditRequest((Remove(name="rec"), Connect(from_="a", to="mix.x", keys={"gain": 0.5})), 4),
    requests.UndoRequest(5),
    requests.RedoRequest(),
)
INCIDENT = incident.Incident(
    31.8,
    "mix",
    77,
    2,
    "killed by signal 9",
    ("fade",),
    ("last line",),
    (incident.LinkFlow("mix.out", "out.in", 9, 8, {"stale": 1}, 0, 0, True),),
    {"gain_db": -3.0, "inputs": {"dry": {"mute": True}}},
)
EVENTS = (
    LogEvent(time_s=1.0, message="died", event="died", level="error", node="mix", cause="why", pid=7, incarnation=0),
    LogEvent(message="a line"),
    IncidentEvent(time_s=1.0, message="mix died", incident=INCIDENT),
    GraphEvent(time_s=2.0, revision=3, what="edit"),
    NodeEvent(time_s=3.0, kind="media", node="song", position=480, data={"media_id": "a.mp3", "media_s": 0.01}),
    NodeEvent(time_s=3.0, kind="log", node="song", position=-1, data={}),
    Event(time_s=4.0, kind="weather"),
)
WORST = snapshots.WorstFrame("mix.out", "out.in", 9, 4_800, 1, 1.7e9, 51.5)
TIMES = snapshots.Times(2, 5.5, 1.0, 4.0, 4.5, (0, 1, 1))
LINK = snapshots.LinkLedger(
    "song.out", "mix.dry", "block", 500.0, 4, 9, 7, 1, 1, {"stale": 1}, True, snapshots.Quantiles(1.0, 2.0, 3.0), (1, 2)
)
REPLIES: tuple[Any, ...] = (
    snapshots.Description(
        "karaoke",
        "run",
        "takes",
        44_100,
        441,
        True,
        7,
        2,
        {"mix": snapshots.NodeDescription("mixer", "mix", ("out",), (), ("text",), {"total": 1.5}, {"a": [1]}, ("a",))},
        (snapshots.LinkDescription("song.out", "mix.dry", "block", 500.0, 4),),
        (snapshots.PathDescription(("song", "mix"), {"song": 1.0, "mix": 2.0}, 3.0, 1.0, 25.0, True),),
    ),
    snapshots.Meters(
        7,
        2,
        1.5,
        48_000,
        0.25,
        "host",
        -3.5,
        {"mix": snapshots.NodeMeters("running", 42, 1, 0.5, 61.0, 0.25, 0.0, {"out": (-3.0, -12.0)}, "")},
        (snapshots.LinkMeters(1, 2, 3, 4.5),),
        {"song": snapshots.SongMeters(True, False, 1.0, 10.0, "song.mp3")},
    ),
    snapshots.Ledger(
        2,
        1.5,
        {"mix": snapshots.NodeLedger("note", "worker-1.log", {"xruns": 1}, {"ppm": 0.5}, 1.0, TIMES, TIMES)},
        (LINK,),
        (dataclasses.replace(LINK, worst=WORST),),
        (snapshots.TapLedger("mix.out", 1, 1, 0, 0, {}, True),),
        (snapshots.PathLedger(("song", "mix"), snapshots.Measured(1, 1.0, 2.0, 3.0, (1,), WORST)),),
        (INCIDENT,),
        1,
        ("line",),
    ),
    replies.SubscribeReply(1, 125, 16, 10.0, 5),
    replies.Done(),
    replies.EventsReply(5, EVENTS),
    replies.PortsReply("studio", 48_000, (replies.OutputPort("mix.out", True),), ("voice",)),
    replies.SetReply(48_000, 41.5),
    replies.SetReply(None, None, "mix is restarting"),
    replies.TransportReply({"file": 1}, 41.5),
    replies.SendReply(5, 1.5),
    replies.GraphReply(2, {"nodes": {}}, 1, 0, False),
    replies.EditReply(3, ("a",), (), ("b",)),
)


def over_the_wire(codec: Codec, message: Any) -> dict[str, Any]:
    return codec.decode(codec.encode(message))


# -- both ways ------------------------------------------------------------------------------------------------


def test_every_operation_is_tried_below() -> None:
    assert {type(request) for request in REQUESTS} == set(BY_REQUEST)
    assert {type(reply) for reply in REPLIES} == {row.reply for row in OPERATIONS.values()}


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_a_request_comes_out_as_it_went_in(codec: Codec, request_: Request[Any]) -> None:
    number, data = Conversation("secret", codec).encoded_request(request_)
    assert codec_of(data) is codec
    message = decode(data)
    assert (message["id"], message["token"]) == (number, "secret")
    row = OPERATIONS[message["op"]]
    assert request_in(row.request, message) == request_


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: type(reply).__name__)
def test_a_reply_comes_out_as_it_went_in(codec: Codec, reply: Any) -> None:
    asked = next(request for request in REQUESTS if BY_REQUEST[type(request)].reply is type(reply))
    assert reply_of(asked, over_the_wire(codec, {"result": reply})["result"]) == reply


def test_every_type_of_event_is_tried_above() -> None:
    assert {type(event) for event in EVENTS} == {*TYPES, Event}


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_an_event_comes_out_as_it_went_in(codec: Codec, event: Event) -> None:
    assert read(EventBatch, over_the_wire(codec, EventBatch(7, (event,), 2)), "events") == EventBatch(7, (event,), 2)


def test_an_event_of_a_newer_pipeline_is_read_as_far_as_it_is_known() -> None:
    newer = {
        "first": 1,
        "events": [{"kind": "graph", "revision": 2, "what": "edit", "who": "A"}, {"kind": "new", "x": 1}],
    }
    assert read(EventBatch, newer, "events").events == (GraphEvent(revision=2, what="edit"), Event(kind="new"))


def test_what_a_node_sends_becomes_an_event_of_that_node() -> None:
    sent = {"kind": "clause", "position": 48_000, "node": "another", "text": "Good evening."}
    made = node_event("voice", sent)
    assert made == NodeEvent(kind="clause", node="voice", position=48_000, data={"text": "Good evening."})


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({"position": 0}, r"^event\.kind: missing, expected text$"),
        ({"kind": 5, "position": 0}, r"^event\.kind: expected text, got 5$"),
        ({"kind": "note"}, r"^event\.position: missing, expected a whole number$"),
        ({"kind": "note", "position": "soon"}, r"^event\.position: expected a whole number, got 'soon'$"),
    ],
)
def test_an_event_without_kind_or_position_is_refused_with_a_sentence(sent: dict[str, Any], reason: str) -> None:
    with pytest.raises(ControlError, match=reason):
        node_event("voice", sent)


@pytest.mark.parametrize("row", OPERATIONS.values(), ids=lambda row: row.name)
def test_the_reply_in_the_table_is_the_type_that_the_request_promises(row: Operation) -> None:
    (promised,) = (typing.get_args(base) for base in row.request.__orig_bases__)  # type: ignore[attr-defined]
    assert promised == (row.reply,)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ("acknowledge", "unsubscribe")])
def test_both_clients_have_every_operation_with_the_same_parameters(name: str) -> None:
    sync, asynchronous = getattr(Client, name), getattr(AsyncClient, name)
    assert inspect.signature(sync).parameters == inspect.signature(asynchronous).parameters
    assert inspect.iscoroutinefunction(asynchronous) and not inspect.iscoroutinefunction(sync)


# -- what is odd ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", OPERATIONS.values(), ids=lambda row: row.name)
def test_an_argument_that_an_operation_does_not_have_is_named(row: Operation) -> None:
    with pytest.raises(ControlError, match=rf"^{row.name}\.valeu: unknown key"):
        request_in(row.request, {"op": row.name, "id": 1, "v": 2, "token": "t", "valeu": 5})


@pytest.mark.parametrize(
    ("op", "args", "reason"),
    [
        ("set", {"name": "a", "value": 1}, "set.node: missing, expected text"),
        ("set", {"node": "mix", "name": "a"}, "set.value: missing"),
        ("set", {"node": ["mix"], "name": "a", "value": 1}, "set.node: expected text, got ['mix']"),
        ("set", {"node": "m", "name": "a", "value": 1, "at": "soon"}, "set.at: expected a whole number >= 0"),
        ("set", {"node": "m", "name": "a", "value": 1, "at": -1}, "set.at: expected a whole number >= 0"),
        ("set", {"node": "m", "name": "a", "value": 1, "at": 1 << 62}, "set.at: expected a whole number >= 0"),
        ("set", {"node": "m", "name": "a", "value": 1, "at": True}, "set.at: expected a whole number >= 0"),
        ("set", {"node": "m", "name": "a", "value": 1, "typed": 5}, "set.typed: expected text, got 5"),
        ("transport", {"node": "m", "command": "seek", "args": [1]}, "transport.args: expected a map (name: value)"),
        ("send", {"node": "m", "port": "text", "event": "hello"}, "send.event: expected a map (name: value)"),
        ("events", {"since": "x"}, "events.since: expected a whole number >= 0"),
        ("events", {"since": math.inf}, "events.since: expected a whole number >= 0"),
        ("edit", {"changes": {}, "revision": 1}, "edit.changes: expected a list, got {}"),
        ("edit", {"changes": [5], "revision": 1}, "edit.changes.0: expected settings (key: value), got 5"),
        ("edit", {"changes": [{"op": "remov"}], "revision": 1}, "edit.changes.0.op: expected one of connect"),
        ("edit", {"changes": [{}] * 257, "revision": 1}, "edit.changes: expected a list of at most 256, got 257"),
        ("edit", {"changes": []}, "edit.revision: missing, expected a whole number >= 0"),
        ("subscribe", {"topics": ["meters"], "every_ms": 1}, "subscribe.every_ms: expected a whole number >= 50"),
        ("subscribe", {"topics": "meters"}, "subscribe.topics: expected a list, got 'meters'"),
    ],
)
def test_an_argument_of_another_type_is_refused_with_one_sentence(op: str, args: dict[str, Any], reason: str) -> None:
    with pytest.raises(ControlError) as raised:
        request_in(OPERATIONS[op].request, {"op": op, **args})
    assert str(raised.value).startswith(reason)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_any_value_for_any_argument_is_taken_or_refused(value: Any) -> None:
    for row in OPERATIONS.values():
        for field in dataclasses.fields(row.request):  # type: ignore[arg-type]
            try:
                assert isinstance(request_in(row.request, {"op": row.name, field.name: value}), row.request)
            except ControlError as error:
                assert "\n" not in str(error)


def test_a_refusal_repeats_a_bounded_part_of_what_was_sent() -> None:
    with pytest.raises(ControlError) as raised:
        built(requests.SetRequest, {"node": ["x" * 100_000], "name": "a", "value": 1}, "set")
    assert len(str(raised.value)) <= SENTENCE_CHARACTERS + 1


def test_a_client_ignores_keys_that_a_newer_pipeline_adds() -> None:
    reply = {
        "name": "a",
        "rate": 1_000,
        "outputs": [{"port": "a.out", "heard": True, "colour": 1}],
        "feeds": [],
        "x": 5,
    }
    assert read(replies.PortsReply, reply, "ports").outputs == (replies.OutputPort("a.out", True),)
    meters = {**over_the_wire(MSGPACK, REPLIES[1]), "loudness": 5}
    meters["nodes"]["mix"]["colour"] = "red"
    assert read(snapshots.Meters, meters, "meters") == REPLIES[1]


@pytest.mark.parametrize("raw", [None, 5, [], {"name": 5}])
def test_a_reply_of_another_shape_is_one_sentence(raw: Any) -> None:
    with pytest.raises(ControlError, match=r"^ports[.:]"):
        reply_of(requests.PortsRequest(), raw)


# -- the codecs -----------------------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_any_bytes_are_a_map_or_a_wire_error(data: bytes) -> None:
    for codec in CODECS:
        try:
            assert isinstance(codec.decode(data), dict)
        except WireError:
            pass


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=5), PLAIN, max_size=4))
def test_msgpack_carries_every_map(message: dict[str, Any]) -> None:
    assert over_the_wire(MSGPACK, message) == message


@given(st.dictionaries(st.text(max_size=5), PLAIN, max_size=4))
def test_json_carries_every_map_but_numbers_that_are_not_finite(message: dict[str, Any]) -> None:
    def shown(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shown(item) for key, item in value.items()}
        if isinstance(value, list):
            return [shown(item) for item in value]
        return None if isinstance(value, float) and math.isinf(value) else value

    assert over_the_wire(JSON, message) == shown(message)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "control message is not JSON"),
        (b'{"a": NaN}', "control message is not JSON: NaN is no JSON number"),
        (b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", f"nested deeper than {MAX_DEPTH} levels"),
        (b"{" * 100_000, "control message is not JSON"),
        (b'{"a": ' + b"[" * 100_000, "control message is not JSON"),
        (b'{"a": 1' + b"0" * 5_000 + b"}", "control message is not JSON"),
        (b"{" + bytes(MAX_BYTES), "expected at most 4194304"),
        (b'{"op": 5}', "not a map with a text 'op'"),
        (b"\xff\xfe", "not msgpack"),
    ],
)
def test_what_is_no_message_is_a_wire_error(data: bytes, reason: str) -> None:
    with pytest.raises(WireError) as raised:
        decode(data)
    assert reason in str(raised.value)


def test_bytes_of_a_file_name_survive_both_codecs() -> None:
    name = b"caf\xe9.wav".decode(errors="surrogateescape")
    for codec in CODECS:
        assert over_the_wire(codec, {"path": name}) == {"path": name}


def test_what_has_no_place_in_a_message_is_a_type_error() -> None:
    for codec in CODECS:
        with pytest.raises(TypeError, match="a object has no place in a message"):
            codec.encode({"a": object()})
