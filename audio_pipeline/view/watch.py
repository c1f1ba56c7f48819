"""What a pipeline pushes to a viewer, kept as the newest state; it may be too busy to push, or just ending."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

from audio_pipeline.control.events import LogEvent
from audio_pipeline.control.pushes import Data, EventBatch, Push
from audio_pipeline.control.requests import EVENTS, GRAPH, LEDGER, METERS
from audio_pipeline.control.snapshots import Description, Ledger, Meters
from audio_pipeline.control.state import State, Status
from audio_pipeline.errors import ControlError
from audio_pipeline.view.screen import ScreenState

ANSWER_S = 0.5
PATIENCE_S = 5.0  # how long a pipeline of another process may leave us without a push
QUIET_S = 1.0  # after which a state is not shown as the present one
PUSHES_A_TURN = 256  # pushes
LOG_LINES, NEW_LINES = 200, 2_000
S = TypeVar("S")


class Subscription(Protocol):
    """What a watch needs of one."""

    @property
    def ended(self) -> bool: ...

    def take(self, timeout_s: float) -> Push | None: ...

    def close(self) -> None: ...


class Subscriber(Protocol):
    """What a watch needs of a client."""

    def subscribe(self, topics: Sequence[str], every_ms: int, since: int | None) -> Subscription: ...


class Watch(ABC, Generic[S]):
    """The newest state, of a kind that a subclass makes."""

    topics: tuple[str, ...]

    def __init__(
        self,
        client: Subscriber,
        *,
        every_ms: int = 125,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float | None = None,
    ) -> None:
        self._client, self._every_ms = client, every_ms
        self._clock, self._patience_s = clock, PATIENCE_S if patience_s is None else patience_s
        self._subscription: Subscription | None = None
        self._description: Description | None = None
        self._meters: Meters | None = None
        self._answered_s = clock()

    @abstractmethod
    def _state(self) -> S | None:
        """What has come, as one; None until all of it has."""

    def refresh(self) -> S | None:
        """The state, None without an answer. Raises ControlError after the patience is over."""
        try:
            self._take_all()
        except ControlError:
            self.close()
            if self._clock() - self._answered_s > self._patience_s:
                raise
            return None
        quiet_s = self._clock() - self._answered_s
        if quiet_s > self._patience_s:
            raise ControlError(f"the pipeline has pushed nothing for {quiet_s:.0f} s")
        return self._state() if quiet_s <= max(QUIET_S, 2 * self._every_ms / 1000) else None

    def _take_all(self) -> None:
        if self._subscription is None:
            self._subscription = self._client.subscribe(self.topics, self._every_ms, 1)
        for _ in range(PUSHES_A_TURN):
            push = self._subscription.take(ANSWER_S if self._state() is None else 0.0)
            if push is None:
                return
            self._note(push.data)

    def _note(self, data: Data) -> None:
        if isinstance(data, Description):
            self._description = data
        elif isinstance(data, Meters):
            self._meters, self._answered_s = data, self._clock()

    @property
    def _status(self) -> Status | None:
        """With the end, whoever told of it."""
        if self._description is None or self._meters is None:
            return None
        ended = self._meters.ended or (self._subscription is not None and self._subscription.ended)
        return Status(self._description, replace(self._meters, ended=ended))

    def close(self) -> None:
        """Ends the subscription."""
        if self._subscription is not None:
            self._subscription.close()
        self._subscription = None


class ScreenWatch(Watch[ScreenState]):
    """What a screen shows, with the log."""

    topics = (GRAPH, METERS, EVENTS)

    def __init__(
        self,
        client: Subscriber,
        *,
        every_ms: int = 125,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float | None = None,
    ) -> None:
        super().__init__(client, every_ms=every_ms, clock=clock, patience_s=patience_s)
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._new_lines: deque[str] = deque(maxlen=NEW_LINES)
        self.last = ""  # message of the log that was passed on

    def _state(self) -> ScreenState | None:
        status = self._status
        return None if status is None else ScreenState(status.description, status.meters, tuple(self._log))

    def _note(self, data: Data) -> None:
        super()._note(data)
        for event in data.events if isinstance(data, EventBatch) else ():
            if isinstance(event, LogEvent):
                self._log.append(event.message)
                self._new_lines.append(f"{event.time_s:.1f} s | {event.message}")

    def logged(self) -> list[str]:
        """What the pipeline logged since the last call, with its time."""
        lines = list(self._new_lines)
        self._new_lines.clear()
        self.last = self._log[-1] if self._log else self.last
        return lines


class StateWatch(Watch[State]):
    """All there is to see, with what was counted."""

    topics = (GRAPH, METERS, LEDGER)

    def __init__(self, client: Subscriber, *, every_ms: int, patience_s: float | None = None) -> None:
        super().__init__(client, every_ms=every_ms, patience_s=patience_s)
        self._ledger: Ledger | None = None
        self.fresh = False  # the last look saw a new ledger

    def refresh(self) -> State | None:
        self.fresh = False
        return super().refresh()

    def _state(self) -> State | None:
        status = self._status
        if status is None or self._ledger is None:
            return None
        return State(status.description, status.meters, self._ledger)

    def _note(self, data: Data) -> None:
        super()._note(data)
        if isinstance(data, Ledger):
            self._ledger, self.fresh = data, True
