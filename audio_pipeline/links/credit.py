"""Credit flow control of one consumer on one stream, without sockets.

The consumer says absolutely how far it has taken frames (`delivered_through`) and how far it may be sent
(`granted_through`); the producer keeps at most that many in flight. Nothing is ever counted up step by
step, so a lost or repeated message, a reconnect and a restart all heal with the next message.
The idea is the credit pattern of the ZeroMQ Guide (ch. 7), made absolute.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

Count = Callable[[str, int], None]  # (counter, amount)
LOSSLESS = "lossless"  # offline: `room` stalls whoever asks it, and what is offered in spite of it is kept
ABSENT = "absent"
MOST_WINDOW = 1 << 16  # frames; no plan needs as many


class Item(NamedTuple):
    """A packed frame with what the queue needs to know of it."""

    seq: int
    position: int
    end: int
    generation: int
    message: bytes
    last: bool = False  # END: never dropped


class Subscription:
    """The producer's side of one (consumer, stream): a bounded queue, a window and a ledger.

    Ledger: `offered = sent + dropped.* + queued`; the consumer's board holds what became of `sent`.
    """

    def __init__(
        self, policy: str, queue_frames: int, count: Count, *, most_window: int = MOST_WINDOW, tap: bool = False
    ) -> None:
        self.tap = tap  # it has no board, so what it took and what it left behind is counted here
        self.policy = policy
        self.queue_frames = max(queue_frames, 1)
        self._most_window = most_window
        self._count = count
        self.queue: deque[Item] = deque()
        self.in_flight: deque[int] = deque()
        self.window = 0
        self.delivered_through = 0
        self.left = False  # it said how far it took frames, and that it takes no more
        self.end: Item | None = None  # the stream's END, once it was offered

    def adopt(self, policy: str, queue_frames: int) -> None:
        """Other terms for what goes on."""
        self.policy = self.policy if self.policy == ABSENT else policy
        self.queue_frames = max(queue_frames, 1)

    @property
    def has_capacity(self) -> bool:
        """True while one more frame would not overflow the queue."""
        return len(self.queue) < self.queue_frames

    def straight(self, item: Item) -> bool:
        """Takes and counts a frame for sending at once, where none waits and the window has room."""
        if self.queue or len(self.in_flight) >= self.window or self.policy == ABSENT:
            return False
        self.in_flight.append(item.seq)
        self._count("offered", 1)
        self._count("sent", 1)
        return True

    def offer(self, item: Item) -> None:
        """Queues a frame under the policy; what does not fit is dropped and counted by reason."""
        self._count("offered", 1)
        if self.policy == ABSENT:
            self._count("dropped.absent", 1)
            return
        if self.policy == "latest":
            self._keep(lambda held: held.last, "latest")
        elif self.policy != LOSSLESS and not self.has_capacity and not item.last:
            if self.policy == "drop_newest":
                self._count("dropped.newest", 1)
                return
            self._drop_oldest("overflow" if self.policy == "block" else "oldest")
        self.queue.append(item)

    def _keep(self, wanted: Callable[[Item], bool], reason: str) -> None:
        kept = deque(item for item in self.queue if wanted(item))
        self._count(f"dropped.{reason}", len(self.queue) - len(kept))
        self.queue = kept

    def _drop_oldest(self, reason: str) -> None:
        at = next((at for at, item in enumerate(self.queue) if not item.last), None)
        if at is not None:
            del self.queue[at]
            self._count(f"dropped.{reason}", 1)

    def sendable(self) -> Iterator[Item]:
        """Takes from the queue what the window allows."""
        while self.queue and len(self.in_flight) < self.window:
            item = self.queue.popleft()
            self.in_flight.append(item.seq)
            self._count("sent", 1)
            yield item

    def credit(self, delivered_through: int, granted_through: int) -> None:
        """What the consumer grants; one that is older than what is known was overtaken and changes nothing."""
        if delivered_through < self.delivered_through:
            return
        self.delivered_through = delivered_through
        self.window = min(max(granted_through - delivered_through, 0), self._most_window)
        before = len(self.in_flight)
        while self.in_flight and self.in_flight[0] <= delivered_through:
            self.in_flight.popleft()
        if self.tap and before > len(self.in_flight):
            self._count("delivered", before - len(self.in_flight))

    def cancel(self, generation: int) -> None:
        """Drops queued frames of older generations."""
        self._keep(lambda held: held.generation >= generation or held.last, "cancelled")
        if self.end is not None and self.end.generation < generation:
            self.end = None

    def dismiss(self) -> None:
        """Nobody will ever take anything: from now on all is dropped."""
        self.policy = ABSENT
        self._keep(lambda held: False, "absent")
        self.in_flight.clear()

    def admit(self, policy: str) -> None:
        """One that was dismissed is waited for again."""
        if self.policy == ABSENT:
            self.policy = policy

    def unlink(self) -> None:
        """The link is taken out of the graph: what it still held goes; what its consumer got is not lost."""
        self._count("dropped.unlinked", len(self.queue) + (len(self.in_flight) if self.left else 0))
        self.queue.clear()
        self.in_flight.clear()

    def leave(self) -> None:
        """A tap that goes: what it did not take is lost by that name."""
        self._count("dropped.left", len(self.queue) + len(self.in_flight))
        self.queue.clear()
        self.in_flight.clear()

    def restart(self, delivered_through: int, replay: list[Item]) -> None:
        """The consumer came back without memory: what was in flight is lost, `replay` goes first."""
        self.left = False
        if self.tap:
            self._count("dropped.left", len(self.in_flight))
        self.in_flight.clear()
        self.delivered_through = delivered_through
        self._count("offered", len(replay))
        self.queue.extendleft(reversed(replay))

    def reconnected(self, received: int) -> None:
        """The same consumer on a new connection, with `received` the last frame it got: the rest is lost."""
        kept = deque(seq for seq in self.in_flight if seq <= received)
        self._count("dropped.lost", len(self.in_flight) - len(kept))
        self.in_flight = kept

    @property
    def drained(self) -> bool:
        """True when everything offered has been taken."""
        return not self.queue and not self.in_flight


class Grant:
    """The consumer's side: what it has taken of the current producer incarnation and how much more it wants."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.epoch = 0
        self.delivered_through = 0

    def new_epoch(self, epoch: int) -> None:
        """A new producer incarnation counts from the start."""
        self.epoch = epoch
        self.delivered_through = 0

    def delivered(self, seq: int) -> None:
        """Frame `seq` left the link (used or dropped with a reason)."""
        self.delivered_through = max(self.delivered_through, seq)

    @property
    def granted_through(self) -> int:
        return self.delivered_through + self.window
