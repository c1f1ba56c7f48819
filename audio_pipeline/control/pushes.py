"""What a subscriber receives, and what it owes in return: numbers, gaps, credit. No sockets, no clock of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audio_pipeline.control.conversation import now_s
from audio_pipeline.control.events import Event
from audio_pipeline.control.message import read
from audio_pipeline.control.received import Received
from audio_pipeline.control.replies import SubscribeReply
from audio_pipeline.control.requests import (
    EVENTS,
    GRAPH,
    LEDGER,
    METERS,
    AcknowledgeRequest,
    SubscribeRequest,
    UnsubscribeRequest,
)
from audio_pipeline.control.snapshots import Description, Ledger, Meters
from audio_pipeline.errors import ControlError
from audio_pipeline.settings import setting

END = "end"
TURN_S = 1.0  # longest wait between two looks at what is owed
ACKNOWLEDGE_S = 2.0  # also while nothing comes
PATIENCE_S = 6.0  # for the reply to an acknowledgement
CHECK_S = 2.0  # of the time between two checks, as much counts


@dataclass(frozen=True)
class EventBatch:
    """Events in a row."""

    first: int = setting(doc="number of the first of them")
    events: tuple[Event, ...] = setting(doc="oldest first")
    lost: int = setting(0, "events before `first` that were forgotten before they could be sent")


@dataclass(frozen=True)
class End:
    """The subscription is over."""

    reason: str = setting(doc="one sentence")
    ended: bool = setting(False, "the pipeline has ended; else subscribe again")


Data = EventBatch | Meters | Description | Ledger | End
DATA: Mapping[str, type[Any]] = {
    EVENTS: EventBatch,
    METERS: Meters,
    GRAPH: Description,
    LEDGER: Ledger,
    END: End,
}


@dataclass(frozen=True)
class PushHead:
    """What stands before the data of a push."""

    push: int = setting(doc="the subscription")
    number: int = setting(doc="from 1 on; what was due and could not be sent has a number too")
    topic: str = setting(doc="`events`, `meters`, `graph`, `ledger` or `end`", choices=tuple(DATA))


@dataclass(frozen=True)
class Push(PushHead):
    """One message of a subscription."""

    data: Any = setting(doc="of the topic")
    skipped: int = setting(0, "numbers before this one that were not sent; only on the receiver's side", minimum=0)


class Subscribed:
    """The receiver's side of one subscription."""

    def __init__(self, request: SubscribeRequest, reply: SubscribeReply, now_s: float) -> None:
        self.request, self.subscription = request, reply.subscription
        self.since = reply.since  # number of the first event that has not come
        self.skipped = 0  # pushes that were left out because we were slow
        self.lost = 0  # events that were forgotten before they could be sent
        self.ended = self.over = False
        self._begin(reply, now_s)

    def _begin(self, reply: SubscribeReply, now_s: float) -> None:
        self._window, self._number, self._acknowledged = reply.window, 0, 0
        self._sent_s = now_s
        self._checked_s, self._silent_s, self._waiting = now_s, 0.0, False

    @property
    def renewal(self) -> SubscribeRequest | None:
        """What continues the subscription with the first event that has not come, where the pipeline let it go."""
        if self.ended or not self.over:
            return None
        return SubscribeRequest(self.request.topics, self.request.every_ms, self.since)

    def renewed(self, reply: SubscribeReply, now_s: float) -> None:
        """Goes on under another number, with the counts of before."""
        self.subscription, self.over = reply.subscription, False
        self._begin(reply, now_s)

    @property
    def goodbye(self) -> UnsubscribeRequest | None:
        """What ends it for the pipeline too; None where it has ended there."""
        return None if self.over else UnsubscribeRequest(self.subscription)

    def on_message(self, message: Received) -> Push | None:
        """A push of this subscription; None for anything else. Raises ControlError for a malformed one."""
        if "push" not in message:
            self._waiting, self._silent_s = False, 0.0  # the reply to an acknowledgement
            self.over = self.over or not message.get("ok")  # the pipeline has let us go
            return None
        if message["push"] != self.subscription:
            return None
        head = read(PushHead, message, "push")
        data = read(DATA[head.topic], message.get("data"), head.topic)
        skipped = max(head.number - self._number - 1, 0)
        self._number = max(self._number, head.number)
        self.skipped += skipped
        self._note(data)
        return Push(head.push, head.number, head.topic, data, skipped)

    def _note(self, data: Data) -> None:
        if isinstance(data, EventBatch):
            self.since = data.first + len(data.events)
            self.lost += data.lost
        elif isinstance(data, End):
            self.over, self.ended = True, data.ended

    def acknowledgement(self, now_s: float) -> AcknowledgeRequest | None:
        """What is to be sent now: credit for a part of the window, or a sign of life."""
        fresh = self._number - self._acknowledged
        if 4 * fresh < self._window and now_s - self._sent_s < ACKNOWLEDGE_S:
            return None
        self._acknowledged, self._sent_s = self._number, now_s
        self._waiting = True
        return AcknowledgeRequest(self.subscription, self._number)

    def is_late(self, deadline_s: float, now_s: float) -> bool:
        """Whether nothing came in time; called when nothing came. Raises as `check` does."""
        if now_s < deadline_s:
            return False
        self.check(now_s)
        return True

    def check(self, now_s: float) -> None:
        """Raises ControlError where acknowledgements are not answered any more. Called while nothing comes.

        A long time between two calls counts little: this process may have stood still as well.
        """
        passed_s, self._checked_s = min(now_s - self._checked_s, CHECK_S), now_s
        self._silent_s = self._silent_s + passed_s if self._waiting else 0.0
        if self._silent_s > PATIENCE_S:
            raise ControlError(f"the pipeline did not answer a subscriber within {PATIENCE_S:g} s")


class Take:
    """One wait for a push: what to do next, and when it is over. Whoever carries it out has the connection."""

    def __init__(self, received: Subscribed, timeout_s: float) -> None:
        self._received, self._deadline_s = received, now_s() + timeout_s
        self.push: Push | None = None
        self._over = received.ended

    @property
    def wait_s(self) -> float | None:
        """How long to wait for a message; None once there is a push, or no hope of one."""
        return None if self._over else min(self._deadline_s - now_s(), TURN_S)

    @property
    def due(self) -> AcknowledgeRequest | None:
        """What to send before that."""
        return self._received.acknowledgement(now_s())

    def on_message(self, message: Received | None) -> SubscribeRequest | None:
        """What came of the wait; a request is to be asked before the next one. Raises ControlError."""
        if message is not None:
            self.push = self._received.on_message(message)
            self._over = self.push is not None or self._received.ended
        else:
            self._over = self._received.is_late(self._deadline_s, now_s())
        return self._received.renewal

    def on_renewed(self, reply: SubscribeReply) -> None:
        self._received.renewed(reply, now_s())


class Progress:
    """How far a subscription has come, whatever carries it."""

    _received: Subscribed

    @property
    def lost(self) -> int:
        """Events that were forgotten before they could be sent."""
        return self._received.lost

    @property
    def skipped(self) -> int:
        """Pushes that were left out because we were slow."""
        return self._received.skipped

    @property
    def ended(self) -> bool:
        """True once the pipeline has ended and its last push was taken."""
        return self._received.ended
