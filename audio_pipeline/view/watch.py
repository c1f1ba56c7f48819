"""What a pipeline pushes to a viewer, kept as the newest state; it may be too busy to push, or just ending."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from audio_pipeline.control.pushes import EventBatch, Push
from audio_pipeline.control.requests import EVENTS, GRAPH, LEDGER, METERS
from audio_pipeline.control.snapshots import Description, Ledger, Meters
from audio_pipeline.control.state import compose
from audio_pipeline.errors import ControlError
from audio_pipeline.view.screen import screen_state
from audio_pipeline.view.text import State

ANSWER_S = 0.5
PATIENCE_S = 5.0  # how long a pipeline of another process may leave us without a push
QUIET_S = 1.0  # after which a state is not shown as the present one
A_LOOK = 256  # pushes
LOG_LINES, NEW_LINES = 200, 2_000
SCREEN = (GRAPH, METERS, EVENTS)
WHOLE = (GRAPH, METERS, LEDGER)


class Subscription(Protocol):
    """What a watch needs of one."""

    @property
    def ended(self) -> bool: ...

    def take(self, timeout_s: float) -> Push | None: ...

    def close(self) -> None: ...


class Subscriber(Protocol):
    """What a watch needs of a client."""

    def subscribe(self, topics: Sequence[str], every_ms: int, since: int | None) -> Subscription: ...


class Watch:
    """The newest state. With the topics of `WHOLE` it is one of `Client.state()`, else what a screen shows."""

    def __init__(
        self,
        client: Subscriber,
        topics: Sequence[str] = SCREEN,
        *,
        every_ms: int = 125,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float | None = None,
    ) -> None:
        self._client, self._topics, self._every_ms = client, tuple(topics), every_ms
        self._clock, self._patience_s = clock, PATIENCE_S if patience_s is None else patience_s
        self._subscription: Subscription | None = None
        self._description: Description | None = None
        self._meters: Meters | None = None
        self._ledger: Ledger | None = None
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._new_lines: deque[str] = deque(maxlen=NEW_LINES)
        self._answered_s = clock()
        self.fresh = False  # the last look saw a new state
        self.last = ""  # message of the log that was passed on

    def refresh(self) -> State | None:
        """The state, None without an answer. Raises ControlError after the patience is over."""
        self.fresh = False
        try:
            self._take_all()
        except ControlError:
            self._close()
            if self._clock() - self._answered_s > self._patience_s:
                raise
            return None
        quiet_s = self._clock() - self._answered_s
        if quiet_s > self._patience_s:
            raise ControlError(f"the pipeline has pushed nothing for {quiet_s:.0f} s")
        return self._state() if quiet_s <= max(QUIET_S, 2 * self._every_ms / 1000) else None

    def _take_all(self) -> None:
        if self._subscription is None:
            self._subscription = self._client.subscribe(self._topics, self._every_ms, 1)
        for _ in range(A_LOOK):
            push = self._subscription.take(0.0 if self._complete else ANSWER_S)
            if push is None:
                return
            self._note(push.data)

    @property
    def _complete(self) -> bool:
        parts = (self._description, self._meters, self._ledger if LEDGER in self._topics else self._meters)
        return all(part is not None for part in parts)

    def _note(self, data: Any) -> None:
        if isinstance(data, Description):
            self._description = data
        elif isinstance(data, Meters):
            self._meters, self._answered_s = data, self._clock()
            self.fresh = self.fresh or LEDGER not in self._topics
        elif isinstance(data, Ledger):
            self._ledger, self.fresh = data, True
        elif isinstance(data, EventBatch):
            for event in data.events:
                self._note_event(event)

    def _note_event(self, event: Mapping[str, Any]) -> None:
        if event.get("kind") == "log":
            self._log.append(event["message"])
            self._new_lines.append(f"{event['time_s']:.1f} s | {event['message']}")

    def _state(self) -> State | None:
        description, meters, ledger = self._description, self._meters, self._ledger
        if description is None or meters is None:
            return None
        if LEDGER not in self._topics:
            state: dict[str, Any] = dict(screen_state(description, meters, self._log))
        elif ledger is None:
            return None
        else:
            state = {**compose(description, meters, ledger), "uptime_s": ledger.uptime_s}
        ended = meters.ended or (self._subscription is not None and self._subscription.ended)
        return {**state, "ended": ended}

    def logged(self) -> list[str]:
        """What the pipeline logged since the last call, with its time."""
        lines = list(self._new_lines)
        self._new_lines.clear()
        self.last = self._log[-1] if self._log else self.last
        return lines

    def _close(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
        self._subscription = None

    def close(self) -> None:
        """Ends the subscription."""
        self._close()
