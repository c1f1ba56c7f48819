from __future__ import annotations

from collections import Counter, deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from audio_pipeline.graph.types import POLICIES
from audio_pipeline.links.credit import Grant, Item, Subscription

FRAME = 10


class Ledger(Counter[str]):
    """Counters by name."""

    def count(self, name: str, amount: int) -> None:
        self[name] += amount

    @property
    def dropped(self) -> int:
        return sum(amount for name, amount in self.items() if name.startswith("dropped."))


def item(seq: int, generation: int = 0, *, last: bool = False) -> Item:
    return Item(seq, seq * FRAME, (seq + 1) * FRAME, generation, b"", last)


def started(policy: str, queue: int, window: int = 0) -> tuple[Subscription, Ledger]:
    ledger = Ledger()
    subscription = Subscription(policy, queue, ledger.count)
    subscription.credit(0, window)
    return subscription, ledger


def seqs(subscription: Subscription) -> list[int]:
    return [held.seq for held in subscription.queue]


class Link(RuleBasedStateMachine):
    """A producer, a consumer, and between them a wire on which words are lost, repeated and overtaken.

    Frames keep their order and are lost only with the connection, as over a ZeroMQ socket pair.
    """

    @initialize(policy=st.sampled_from(POLICIES), queue=st.integers(1, 6), window=st.integers(1, 5))
    def begin(self, policy: str, queue: int, window: int) -> None:
        self.policy, self.window, self.queue_frames = policy, window, queue
        self.producer, self.ledger = started(policy, queue, window)
        self.history: list[Item] = []
        self.generation = self.taken = self.lost = self.replayed = 0
        self.ends: set[int] = set()
        self.connect()

    def connect(self) -> None:
        self.wire: deque[int] = deque()
        self.inbox: deque[int] = deque()
        self.words: list[tuple[int, int]] = []
        self.grant = Grant(self.window)
        self.newest = 0

    @rule(last=st.integers(0, 9).map(lambda n: n == 0))
    def offer(self, last: bool) -> None:
        new = item(len(self.history) + 1, self.generation, last=last)
        self.history.append(new)
        self.ends |= {new.seq} if last else set()
        self.producer.offer(new)

    @rule()
    def send(self) -> None:
        for held in self.producer.sendable():
            assert held.seq > self.newest, "out of order"
            self.newest = held.seq
            self.wire.append(held.seq)

    @precondition(lambda self: self.wire)
    @rule()
    def arrive(self) -> None:
        self.inbox.append(self.wire.popleft())

    @precondition(lambda self: self.inbox)
    @rule()
    def take(self) -> None:
        self.grant.delivered(self.inbox.popleft())
        self.taken += 1

    @rule()
    def send_due(self) -> None:
        self.words.append((self.grant.delivered_through, self.grant.granted_through))

    @precondition(lambda self: self.words)
    @rule(data=st.data(), again=st.booleans())
    def hear(self, data: st.DataObject, again: bool) -> None:
        at = data.draw(st.integers(0, len(self.words) - 1))
        self.producer.credit(*self.words[at])
        if not again:
            del self.words[at]

    @rule()
    def lose_a_word(self) -> None:
        self.words[:] = self.words[1:]

    @rule()
    def cancel(self) -> None:
        self.generation += 1
        self.producer.cancel(self.generation)
        assert all(held.last or held.generation == self.generation for held in self.producer.queue)

    @rule(back=st.none() | st.integers(0, 8))
    def consumer_dies_and_comes_back(self, back: int | None) -> None:
        """As OutPort does it: what was in flight is lost; the last `back` frames come again if wanted."""
        self.lost += len(self.wire) + len(self.inbox)
        unsent = self.producer.queue[0].seq if self.producer.queue else len(self.history) + 1
        replay = [] if back is None else [old for old in self.history[-back:] if old.seq < unsent]
        self.replayed += len(replay)
        self.connect()
        self.producer.restart((replay[0].seq if replay else unsent) - 1, replay)
        through = self.producer.delivered_through
        self.producer.credit(through, through + self.window)  # what its greeting said

    @invariant()
    def the_ledger_balances(self) -> None:
        if not hasattr(self, "ledger"):
            return
        ledger = self.ledger
        assert ledger["offered"] == len(self.history) + self.replayed
        assert ledger["offered"] == ledger["sent"] + ledger.dropped + len(self.producer.queue)
        assert ledger["sent"] == self.taken + self.lost + len(self.wire) + len(self.inbox)

    @invariant()
    def nothing_exceeds_its_bound(self) -> None:
        if hasattr(self, "ledger"):
            assert len(self.wire) + len(self.inbox) <= len(self.producer.in_flight) <= self.window
            plain = sum(not held.last for held in self.producer.queue)
            assert plain <= self.queue_frames + self.replayed
            assert self.producer.has_capacity == (len(self.producer.queue) < self.queue_frames)

    @invariant()
    def only_what_the_policy_says_is_dropped(self) -> None:
        if hasattr(self, "ledger"):
            reason = {"block": "overflow", "drop_oldest": "oldest", "drop_newest": "newest", "latest": "latest"}
            names = {name for name, amount in self.ledger.items() if amount} - {"offered", "sent"}
            assert names <= {"dropped.cancelled", f"dropped.{reason[self.policy]}"}

    def teardown(self) -> None:
        """From any state: as soon as words get through, everything offered is taken, ENDs included."""
        if not hasattr(self, "ledger"):
            return
        waiting = set(seqs(self.producer)) | set(self.wire) | set(self.inbox)
        got: set[int] = set()
        for _ in range(len(waiting) + 2):
            got |= set(self.wire) | set(self.inbox)
            while self.wire or self.inbox:
                self.inbox.extend(self.wire)
                self.wire.clear()
                self.take()
            self.producer.credit(self.grant.delivered_through, self.grant.granted_through)
            self.send()
        assert got >= waiting
        assert self.producer.drained


Link.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestLink = Link.TestCase


# -- the policies, one by one ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "kept", "reason"),
    [
        ("block", [3, 4, 5], "overflow"),
        ("drop_oldest", [3, 4, 5], "oldest"),
        ("drop_newest", [1, 2, 3], "newest"),
        ("latest", [5], "latest"),
    ],
)
def test_a_full_queue_drops_what_its_policy_says(policy: str, kept: list[int], reason: str) -> None:
    subscription, ledger = started(policy, 3)
    for seq in range(1, 6):
        subscription.offer(item(seq))
    assert seqs(subscription) == kept
    assert ledger == {"offered": 5, f"dropped.{reason}": 5 - len(kept)}


@pytest.mark.parametrize("policy", POLICIES)
def test_end_is_never_dropped(policy: str) -> None:
    subscription, ledger = started(policy, 2)
    for seq in (1, 2):
        subscription.offer(item(seq))
    subscription.offer(item(3, last=True))
    for seq in range(4, 20):
        subscription.offer(item(seq))
    subscription.cancel(7)
    assert seqs(subscription) == [3]
    assert ledger["offered"] == 19 == ledger.dropped + 1


def test_offline_what_is_offered_in_spite_of_a_full_queue_is_kept() -> None:
    """A node asks for room once and then puts out a block of a dozen frames."""
    subscription, ledger = started("lossless", 2)
    for seq in range(1, 20):
        subscription.offer(item(seq))
    assert seqs(subscription) == list(range(1, 20)) and not subscription.has_capacity and not ledger.dropped


def test_who_is_absent_gets_nothing_and_stalls_nobody() -> None:
    subscription, ledger = started("lossless", 2, window=3)
    for seq in range(1, 9):
        subscription.offer(item(seq))
    list(subscription.sendable())
    subscription.dismiss()
    subscription.offer(item(9, last=True))
    assert subscription.has_capacity and subscription.drained
    assert ledger == {"offered": 9, "sent": 3, "dropped.absent": 6}


def test_who_was_absent_and_is_waited_for_again_gets_what_comes() -> None:
    subscription, ledger = started("block", 2, window=3)
    subscription.admit("latest")
    assert subscription.policy == "block", "it never was absent"
    subscription.dismiss()
    subscription.offer(item(1))
    subscription.admit("block")
    subscription.offer(item(2))
    assert seqs(subscription) == [2] and ledger["dropped.absent"] == 1


def test_room_is_what_stalls_a_source_that_can_wait() -> None:
    subscription, _ = started("block", 2)
    assert subscription.has_capacity
    subscription.offer(item(1))
    subscription.offer(item(2))
    assert not subscription.has_capacity


# -- credit ------------------------------------------------------------------------------------------


def test_nothing_is_sent_before_the_first_word() -> None:
    subscription, _ = started("block", 9)
    subscription.offer(item(1))
    assert not list(subscription.sendable())


def test_the_window_bounds_what_is_under_way() -> None:
    subscription, _ = started("block", 9, window=3)
    for seq in range(1, 8):
        subscription.offer(item(seq))
    assert [held.seq for held in subscription.sendable()] == [1, 2, 3]
    subscription.credit(2, 5)
    assert [held.seq for held in subscription.sendable()] == [4, 5]
    assert list(subscription.in_flight) == [3, 4, 5]


def test_words_that_are_lost_repeated_or_overtaken_change_nothing() -> None:
    subscription, _ = started("block", 20, window=4)
    for seq in range(1, 13):
        subscription.offer(item(seq))
    list(subscription.sendable())
    for delivered in (3, 1, 3, 2, 0):
        subscription.credit(delivered, delivered + 4)
    assert [held.seq for held in subscription.sendable()] == [5, 6, 7]
    assert subscription.delivered_through == 3


def test_a_new_producer_counts_from_the_start() -> None:
    grant = Grant(4)
    grant.new_epoch(1)
    grant.delivered(70)
    assert (grant.delivered_through, grant.granted_through) == (70, 74)
    grant.delivered(69)
    assert grant.delivered_through == 70
    grant.new_epoch(2)
    assert (grant.epoch, grant.delivered_through, grant.granted_through) == (2, 0, 4)
