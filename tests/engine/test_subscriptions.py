"""Subscriptions: numbered, bounded, and a slow subscriber loses meters before it loses events."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.control.codec import CODECS, JSON, MSGPACK, Codec
from audio_pipeline.control.events import NodeEvent
from audio_pipeline.control.pushes import PATIENCE_S, End, EventBatch, Push, Subscribed
from audio_pipeline.control.requests import (
    EVENTS,
    GRAPH,
    LEDGER,
    METERS,
    TOPICS,
    AcknowledgeRequest,
    SubscribeRequest,
    UnsubscribeRequest,
)
from audio_pipeline.control.snapshots import Description, Ledger, Meters
from audio_pipeline.errors import ControlError
from audio_pipeline.supervisor.callers import Caller
from audio_pipeline.supervisor.event_log import KEEP_EVENTS, EventLog
from audio_pipeline.supervisor.subscriptions import (
    LEASE_S,
    MOST,
    MOST_OF_A_CLIENT,
    MOST_REMOTE,
    WINDOW,
    Subscriptions,
)

EVERY_MS = 100


class Pipeline:
    """Sources of a pipeline that does nothing; counts how often it was read."""

    def __init__(self) -> None:
        self.revision = 1
        self.reads = {GRAPH: 0, METERS: 0, LEDGER: 0}

    def describe(self) -> Description:
        self.reads[GRAPH] += 1
        return Description("karaoke", "run", "takes", 48_000, 480, True, self.revision, 1, {}, (), ())

    def meters(self) -> Meters:
        self.reads[METERS] += 1
        return Meters(self.revision, 1, 1.0, self.reads[METERS], 0.0, "host", 0.0, {}, (), {})

    def ledger(self) -> Ledger:
        self.reads[LEDGER] += 1
        return Ledger(1, 1.0, {}, (), (), (), (), (), 0, ())


class Bench:
    """Subscriptions with a clock that is moved by hand; what was sent, by address."""

    def __init__(self) -> None:
        self.pipeline, self.events, self.now_s = Pipeline(), EventLog(), 100.0
        self.sent: list[tuple[bytes, bytes]] = []
        self.subscriptions = Subscriptions(self.pipeline, self.events, self._send, lambda: self.now_s)

    def open(self, *topics: str, address: bytes = b"a", codec: Codec = MSGPACK, **over: Any) -> Reader:
        request = SubscribeRequest(topics, **{"every_ms": EVERY_MS, **over})
        return Reader(self, address, codec, request)

    def caller(self, address: bytes, codec: Codec = MSGPACK) -> Caller:
        return Caller(address, 1, self._send, codec)

    def _send(self, to: bytes, data: bytes) -> None:
        self.sent.append((to, data))

    def turn(self, seconds: float = 0.1) -> None:
        self.now_s += seconds
        self.subscriptions.turn(self.now_s)


class Reader:
    """A subscriber that reads when it is asked to."""

    def __init__(self, bench: Bench, address: bytes, codec: Codec, request: SubscribeRequest) -> None:
        self.bench, self.address, self.codec = bench, address, codec
        reply = bench.subscriptions.open(bench.caller(address, codec), request)
        self.received = Subscribed(request, reply, bench.now_s)

    def take(self, acknowledge: bool = True) -> list[Push]:
        mine = [data for to, data in self.bench.sent if to == self.address]
        self.bench.sent = [(to, data) for to, data in self.bench.sent if to != self.address]
        pushes = [self.received.on_message(self.codec.decode(data)) for data in mine]
        due = self.received.acknowledgement(self.bench.now_s) if acknowledge else None
        if due is not None:
            try:
                self.bench.subscriptions.acknowledge(self.bench.caller(self.address), due)
                self.received.on_message({"id": 1, "ok": True, "result": {}})
            except ControlError as error:
                self.received.on_message({"id": 1, "ok": False, "error": str(error)})
        return [push for push in pushes if push is not None]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def event(number: int) -> NodeEvent:
    return NodeEvent(kind="beat", node="drum", position=number, data={})


def numbers(pushes: list[Push]) -> list[int]:
    """Of the events in pushes."""
    found = [each for push in pushes if isinstance(push.data, EventBatch) for each in push.data.events]
    return [each.position for each in found if isinstance(each, NodeEvent)]


# -- what comes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_each_topic_comes_as_its_type_in_the_codec_of_the_subscriber(bench: Bench, codec: Codec) -> None:
    reader = bench.open(*TOPICS, codec=codec)
    bench.events.add(event(1))
    bench.turn()
    pushes = reader.take()
    assert [push.number for push in pushes] == [1, 2, 3, 4] and not reader.received.skipped
    assert [push.topic for push in pushes] == [EVENTS, GRAPH, METERS, LEDGER]
    assert pushes[1].data == Description("karaoke", "run", "takes", 48_000, 480, True, 1, 1, {}, (), ())
    assert isinstance(pushes[2].data, Meters) and isinstance(pushes[3].data, Ledger)


def test_events_come_once_from_the_subscription_on(bench: Bench) -> None:
    bench.events.add(event(1))
    reader = bench.open(EVENTS)
    bench.turn()
    assert reader.take() == []
    for number in (2, 3):
        bench.events.add(event(number))
    bench.turn()
    assert numbers(reader.take()) == [2, 3]
    bench.turn()
    assert reader.take() == []


def test_events_since_a_number_include_those_that_are_kept(bench: Bench) -> None:
    for number in range(1, 4):
        bench.events.add(event(number))
    reader = bench.open(EVENTS, since=2)
    bench.turn()
    assert numbers(reader.take()) == [2, 3]


def test_the_description_comes_once_a_revision(bench: Bench) -> None:
    reader = bench.open(GRAPH)
    for _ in range(5):
        bench.turn()
    assert len(reader.take()) == 1
    bench.pipeline.revision += 3
    bench.turn()
    (push,) = reader.take()
    assert push.data.revision == 4


def test_meters_come_no_faster_than_asked(bench: Bench) -> None:
    reader = bench.open(METERS, every_ms=200)
    for _ in range(100):
        bench.turn(0.02)
        reader.take()
    assert 10 <= bench.pipeline.reads[METERS] <= 11


def test_many_subscribers_cost_one_reading_of_the_boards(bench: Bench) -> None:
    readers = [bench.open(METERS, address=bytes([number])) for number in range(40)]
    for _ in range(10):
        bench.turn()
        assert all(len(reader.take()) == 1 for reader in readers)
    assert bench.pipeline.reads[METERS] == 10


# -- a slow one ------------------------------------------------------------------------------------------------


def test_a_slow_subscriber_loses_meters_first_and_the_gap_has_its_numbers(bench: Bench) -> None:
    reader = bench.open(METERS, EVENTS)
    for number in range(30):
        bench.events.add(event(number))
        bench.turn()
    assert len(bench.sent) <= WINDOW
    first = reader.take()
    while pushes := reader.take():
        first += pushes
    bench.turn()
    rest = reader.take()
    while bench.sent:
        rest += reader.take()
        bench.turn()
    assert numbers(first + rest) == list(range(30)), "not one event is missing"
    assert reader.received.skipped > 0 and reader.received.lost == 0
    assert sum(push.topic == METERS for push in first) <= WINDOW // 2


def test_events_that_the_log_forgot_are_counted(bench: Bench) -> None:
    reader = bench.open(EVENTS)
    for number in range(WINDOW):
        bench.events.add(event(number))
        bench.turn()  # the window is used up
    for number in range(WINDOW, WINDOW + KEEP_EVENTS + 50):
        bench.events.add(event(number))
    found = reader.take()
    for _ in range(40):
        bench.turn(0.0)
        found += reader.take()
    there = numbers(found)
    assert there[:WINDOW] == list(range(WINDOW)) and there[-1] == WINDOW + KEEP_EVENTS + 49
    assert reader.received.lost == 50 and len(there) == WINDOW + KEEP_EVENTS


def test_a_batch_is_bounded(bench: Bench) -> None:
    reader = bench.open(EVENTS)
    for number in range(1_000):
        bench.events.add(replace(event(number), data={"text": "x" * 1_000}))
    bench.turn()
    assert max(len(data) for _, data in bench.sent) < 70_000 and len(bench.sent) == WINDOW
    found = reader.take()
    while bench.sent or numbers(found)[-1] != 999:
        bench.turn(0.0)
        found += reader.take()
    assert numbers(found) == list(range(1_000))


@given(st.lists(st.sampled_from(("event", "turn", "take", "late")), max_size=120))
def test_whatever_happens_events_are_in_order_and_gaps_add_up(acts: list[str]) -> None:
    bench = Bench()
    reader, written, found = bench.open(METERS, EVENTS), 0, []
    for act in acts:
        if act == "event":
            bench.events.add(event(written))
            written += 1
        elif act == "take":
            found += reader.take()
        elif act == "late":
            found += reader.take(acknowledge=False)
        else:
            bench.turn()
    for _ in range(20):
        found += reader.take()
        bench.turn(2.5)
    found += reader.take()
    assert numbers(found) == list(range(written))
    received = [push.number for push in found]
    assert received == sorted(set(received)) and len(received) + reader.received.skipped == received[-1]


# -- bounds ----------------------------------------------------------------------------------------------------


def test_subscriptions_are_bounded_in_all_and_for_one_client(bench: Bench) -> None:
    for _ in range(MOST_OF_A_CLIENT):
        bench.open(METERS)
    with pytest.raises(ControlError, match=f"^subscribe: this client has {MOST_OF_A_CLIENT} subscriptions"):
        bench.open(METERS)
    for number in range(MOST - MOST_OF_A_CLIENT):
        bench.open(METERS, address=b"%d" % number)
    with pytest.raises(ControlError, match=f"^subscribe: {MOST} subscriptions are open, which is the most$"):
        bench.open(METERS, address=b"late")


def test_other_hosts_leave_room_for_this_one(bench: Bench) -> None:
    for number in range(MOST_REMOTE):
        bench.open(METERS, address=b"~laptop~%d" % number)
    with pytest.raises(ControlError, match="which is the most"):
        bench.open(METERS, address=b"~phone~0")
    bench.open(METERS, address=b"here")


def test_one_that_falls_silent_is_let_go_and_told(bench: Bench) -> None:
    reader = bench.open(METERS)
    for _ in range(3):
        bench.turn(LEASE_S / 2)
    assert len(bench.subscriptions) == 0
    end = reader.take(acknowledge=False)[-1].data
    assert isinstance(end, End) and not end.ended and reader.received.over and not reader.received.ended


def test_acknowledgements_keep_a_quiet_subscription(bench: Bench) -> None:
    reader = bench.open(EVENTS)
    for _ in range(20):
        bench.turn(3.0)
        reader.take()
    assert len(bench.subscriptions) == 1


def test_one_that_was_let_go_continues_where_it_was(bench: Bench) -> None:
    reader = bench.open(EVENTS)
    bench.events.add(event(0))
    bench.turn()
    reader.take(acknowledge=False)
    bench.turn(LEASE_S + 1)
    bench.events.add(event(1))
    reader.take()
    renewal = reader.received.renewal
    assert renewal is not None and reader.received.goodbye is None
    reader.received.renewed(bench.subscriptions.open(bench.caller(b"a"), renewal), bench.now_s)
    bench.turn()
    assert numbers(reader.take()) == [1] and reader.received.renewal is None and not reader.received.lost


def test_an_acknowledgement_for_nothing_is_refused_and_the_receiver_subscribes_again(bench: Bench) -> None:
    reader = bench.open(METERS)
    with pytest.raises(ControlError, match=r"^acknowledge: there is no subscription 1; subscribe again$"):
        bench.subscriptions.acknowledge(bench.caller(b"other"), AcknowledgeRequest(1, 0))
    assert len(bench.subscriptions) == 1 and not reader.received.over
    reader.received.on_message({"id": 1, "ok": False, "error": "acknowledge: there is no subscription 1"})
    assert reader.received.over and not reader.received.ended


def test_a_client_ends_its_own_subscriptions_only(bench: Bench) -> None:
    bench.open(METERS)
    with pytest.raises(ControlError, match=r"^unsubscribe: subscription 1 is none of this client's$"):
        bench.subscriptions.close(bench.caller(b"other"), UnsubscribeRequest(1))
    bench.subscriptions.close(bench.caller(b"a"), UnsubscribeRequest(1))
    assert len(bench.subscriptions) == 0


def test_a_client_that_leaves_ends_all_of_its_own(bench: Bench) -> None:
    bench.open(METERS)
    bench.open(EVENTS)
    others = bench.open(METERS, address=b"other")
    bench.subscriptions.close(bench.caller(b"a"), UnsubscribeRequest())
    bench.subscriptions.close(bench.caller(b"nobody"), UnsubscribeRequest())
    bench.sent.clear()
    bench.turn()
    assert len(bench.subscriptions) == 1 and {to for to, _ in bench.sent} == {b"other"} and others.take()


def test_the_end_of_the_pipeline_brings_the_last_events_whatever_the_credit(bench: Bench) -> None:
    reader = bench.open(EVENTS, METERS)
    for number in range(40):
        bench.events.add(event(number))
        bench.turn()
    bench.subscriptions.end(bench.now_s)
    pushes = reader.take()
    assert numbers(pushes)[-1] == 39 and pushes[-1].topic == "end" and reader.received.ended
    assert [push.data.ended for push in pushes if isinstance(push.data, Meters)][-1]
    assert len(bench.subscriptions) == 0


@pytest.mark.parametrize(
    ("topics", "reason"),
    [
        ((), "subscribe.topics: expected one or more topics, each at most once"),
        (("meters", "meters"), "subscribe.topics: expected one or more topics, each at most once"),
        (("metres",), "subscribe.topics: unknown topic 'metres', did you mean 'meters'?; known: events, "),
    ],
)
def test_topics_are_checked(bench: Bench, topics: tuple[str, ...], reason: str) -> None:
    with pytest.raises(ControlError) as raised:
        bench.open(*topics)
    assert str(raised.value).startswith(reason)


# -- the receiver ----------------------------------------------------------------------------------------------


def test_a_receiver_gives_up_on_a_pipeline_that_does_not_answer(bench: Bench) -> None:
    received = bench.open(EVENTS).received
    assert received.acknowledgement(bench.now_s + 3.0) is not None
    received.check(bench.now_s + 600.0)  # whoever stood still itself has not waited
    with pytest.raises(ControlError, match=r"^the pipeline did not answer a subscriber within 6 s$"):
        for second in range(int(PATIENCE_S) + 1):
            received.check(bench.now_s + 601.0 + second)
    received.on_message({"id": 1, "ok": True, "result": {}})
    received.check(bench.now_s + 700.0)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"push": 1, "number": "x", "topic": "meters", "data": {}}, "push.number: expected a whole number, got 'x'"),
        ({"push": 1, "number": 1, "topic": "nets", "data": {}}, "push.topic: expected one of events, meters"),
        ({"push": 1, "number": 1, "topic": "events", "data": {"first": 1}}, "events.events: missing, expected a list"),
        ({"push": 1, "number": 1, "topic": "meters", "data": 5}, "meters: expected settings (key: value), got 5"),
    ],
)
def test_a_malformed_push_is_refused_with_one_sentence(bench: Bench, message: dict[str, Any], reason: str) -> None:
    with pytest.raises(ControlError) as raised:
        bench.open(METERS).received.on_message(message)
    assert str(raised.value).startswith(reason)


def test_pushes_of_others_are_passed_over(bench: Bench) -> None:
    assert bench.open(METERS).received.on_message({"push": 9, "number": 1, "topic": "meters", "data": {}}) is None


def test_json_and_msgpack_join_an_encoded_part(bench: Bench) -> None:
    head, data = {"push": 1, "number": 2, "topic": "meters"}, {"a": [1, 2.5, None, "x"]}
    for codec in (JSON, MSGPACK):
        assert codec.decode(codec.joined(head, codec.encode(data))) == {**head, "data": data}
