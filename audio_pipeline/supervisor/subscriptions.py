"""Who has what pushed: a bounded number of subscribers, each with a window, a lease and O(1) memory.

A subscriber that is slow loses meters first: they need more credit than events do. Events wait in the event log, which
all share; what it forgets before a subscriber has taken it is counted and said with the next event.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from audio_pipeline.control.codec import Codec
from audio_pipeline.control.message import fields_of
from audio_pipeline.control.pushes import END, End, EventBatch, PushHead
from audio_pipeline.control.replies import Done, SubscribeReply
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
from audio_pipeline.errors import ControlError, nearest
from audio_pipeline.supervisor.callers import Caller, SendBytes
from audio_pipeline.supervisor.event_log import EventLog

MOST, MOST_REMOTE, MOST_OF_A_CLIENT = 64, 48, 4  # subscriptions
WINDOW = 16  # pushes under way; fewer than the control socket and a gateway keep for one peer
MOST_UNDER_WAY = {EVENTS: WINDOW, GRAPH: 12, LEDGER: 8, METERS: 8}  # under way at most, for a push of this topic
LEASE_S = 10.0
LEDGER_S = 0.25
FRESH_S = 0.045  # meters that are no older serve whoever is due
BATCH_EVENTS, BATCH_BYTES = 256, 1 << 16
REMOTE = b"~"  # begins the address of a client that came through a gateway


class Sources(Protocol):
    """Where the data comes from."""

    @property
    def revision(self) -> int:
        """Of the description."""

    def describe(self) -> Description: ...

    def meters(self) -> Meters: ...

    def ledger(self) -> Ledger: ...


@dataclass
class Subscriber:
    """One subscription. Numbers count what was due; those under way have been sent and are not acknowledged."""

    address: bytes
    codec: Codec
    number: int
    topics: tuple[str, ...]
    every_s: float
    next_event: int
    alive_s: float
    pushed: int = 0
    under_way: deque[int] = field(default_factory=deque)
    due_s: dict[str, float] = field(default_factory=dict)
    revision: int = -1  # of the description that was sent

    def wants(self, topic: str, now_s: float) -> bool:
        """Whether a push of a timed topic is due."""
        return topic in self.topics and now_s >= self.due_s.get(topic, 0.0)

    def has_credit(self, topic: str) -> bool:
        return len(self.under_way) < MOST_UNDER_WAY[topic]


class Subscriptions:
    """Lives in the supervisor's thread; `send` never waits."""

    def __init__(
        self, sources: Sources, events: EventLog, send: SendBytes, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._sources, self._events, self._send, self._now_s = sources, events, send, now_s
        self._subscribers: dict[int, Subscriber] = {}
        self._next, self._ended = 1, False
        self._kept: dict[tuple[str, str], tuple[float, bytes]] = {}  # (topic, codec): when made, encoded

    def __len__(self) -> int:
        return len(self._subscribers)

    # -- requests -------------------------------------------------------------------------------------

    def open(self, caller: Caller, request: SubscribeRequest) -> SubscribeReply:
        """A new subscription. Raises ControlError where there is no room for it, or no such topic."""
        _check(request.topics)
        self._check_capacity(caller.address)
        since = self._events.next if request.since is None else min(max(request.since, 1), self._events.next)
        number, self._next = self._next, self._next + 1
        self._subscribers[number] = Subscriber(
            caller.address, caller.codec, number, request.topics, request.every_ms / 1000, since, self._now_s()
        )
        return SubscribeReply(number, request.every_ms, WINDOW, LEASE_S, since)

    def _check_capacity(self, address: bytes) -> None:
        everyone = [other.address for other in self._subscribers.values()]
        remote = sum(other.startswith(REMOTE) for other in everyone)
        if everyone.count(address) >= MOST_OF_A_CLIENT:
            raise ControlError(f"subscribe: this client has {MOST_OF_A_CLIENT} subscriptions, which is the most")
        if len(everyone) >= MOST or (address.startswith(REMOTE) and remote >= MOST_REMOTE):
            raise ControlError(f"subscribe: {len(everyone)} subscriptions are open, which is the most")

    def acknowledge(self, caller: Caller, request: AcknowledgeRequest) -> Done:
        """Credit, and a sign of life. Raises ControlError for a subscription that has ended."""
        subscriber = self._subscribers.get(request.subscription)
        if subscriber is None or subscriber.address != caller.address:
            raise ControlError(f"acknowledge: there is no subscription {request.subscription}; subscribe again")
        subscriber.alive_s = self._now_s()
        while subscriber.under_way and subscriber.under_way[0] <= request.number:
            subscriber.under_way.popleft()
        return Done()

    def close(self, caller: Caller, request: UnsubscribeRequest) -> Done:
        """Ends one, or all of a client that leaves. Raises ControlError for another client's."""
        mine = [number for number, other in self._subscribers.items() if other.address == caller.address]
        if request.subscription is not None and request.subscription not in mine:
            raise ControlError(f"unsubscribe: subscription {request.subscription} is none of this client's")
        for number in mine if request.subscription is None else [request.subscription]:
            del self._subscribers[number]
        return Done()

    # -- pushes ---------------------------------------------------------------------------------------

    def turn(self, now_s: float) -> None:
        """Sends what is due and drops who has fallen silent."""
        for subscriber in list(self._subscribers.values()):
            if now_s - subscriber.alive_s > LEASE_S:
                self._end(subscriber, End(f"it was not acknowledged for {LEASE_S:g} s"))
            else:
                self._serve(subscriber, now_s)

    def _serve(self, subscriber: Subscriber, now_s: float) -> None:
        if EVENTS in subscriber.topics:
            self._push_events(subscriber)
        if subscriber.wants(GRAPH, now_s) and subscriber.revision != self._sources.revision:
            if subscriber.has_credit(GRAPH):
                subscriber.revision = self._sources.revision
                subscriber.due_s[GRAPH] = now_s + subscriber.every_s
                self._push(subscriber, GRAPH, subscriber.codec.encode(self._sources.describe()))
        if subscriber.wants(METERS, now_s):
            self._push_timed(subscriber, METERS, now_s, subscriber.every_s)
        if subscriber.wants(LEDGER, now_s):
            self._push_timed(subscriber, LEDGER, now_s, max(subscriber.every_s, LEDGER_S))

    def _push_events(self, subscriber: Subscriber) -> None:
        while subscriber.next_event < self._events.next and subscriber.has_credit(EVENTS):
            first = max(subscriber.next_event, self._events.first)
            following, events = self._events.since(first, BATCH_BYTES, BATCH_EVENTS)
            batch = EventBatch(first, tuple(events), first - subscriber.next_event)
            subscriber.next_event = following
            self._push(subscriber, EVENTS, subscriber.codec.encode(batch))

    def _push_timed(self, subscriber: Subscriber, topic: str, now_s: float, every_s: float) -> None:
        """What is due and has no credit is skipped: its number stays unused, so the receiver sees the gap."""
        subscriber.due_s[topic] = max(subscriber.due_s.get(topic, 0.0) + every_s, now_s + every_s / 2)
        if subscriber.has_credit(topic):
            self._push(subscriber, topic, self._fresh(topic, subscriber.codec, now_s))
        else:
            subscriber.pushed += 1

    def _fresh(self, topic: str, codec: Codec, now_s: float) -> bytes:
        """Meters or ledger, made once for all who are due at the same time."""
        made_s, data = self._kept.get((topic, codec.name), (-1.0, b""))
        if not data or now_s - made_s > (FRESH_S if topic == METERS else LEDGER_S / 2):
            data = codec.encode(self._meters() if topic == METERS else self._sources.ledger())
            self._kept[topic, codec.name] = now_s, data
        return data

    def _meters(self) -> Meters:
        return replace(self._sources.meters(), ended=self._ended)

    def _push(self, subscriber: Subscriber, topic: str, data: bytes) -> None:
        subscriber.pushed += 1
        subscriber.under_way.append(subscriber.pushed)
        head = PushHead(subscriber.number, subscriber.pushed, topic)
        self._send(subscriber.address, subscriber.codec.joined(head, data))

    def _end(self, subscriber: Subscriber, end: End) -> None:
        del self._subscribers[subscriber.number]
        self._push(subscriber, END, subscriber.codec.encode(fields_of(end)))

    def end(self, now_s: float) -> None:
        """The pipeline has ended: the last events and meters, whatever the credit, then the end."""
        self._ended = True
        self._kept.clear()
        for subscriber in list(self._subscribers.values()):
            subscriber.under_way.clear()
            subscriber.due_s.clear()
            self._serve(subscriber, now_s)
            self._end(subscriber, End("the pipeline ended", ended=True))


def _check(topics: tuple[str, ...]) -> None:
    for topic in topics:
        if topic not in TOPICS:
            known = ", ".join(TOPICS)
            raise ControlError(f"subscribe.topics: unknown topic {topic!r:.40}{nearest(topic, TOPICS)}; known: {known}")
    if not topics or len(set(topics)) != len(topics):
        raise ControlError("subscribe.topics: expected one or more topics, each at most once")
