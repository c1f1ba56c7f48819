"""A subscription over a connection of its own."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

from audio_pipeline.control.connection import Connection
from audio_pipeline.control.conversation import now_s
from audio_pipeline.control.pushes import EventBatch, Push, Subscribed
from audio_pipeline.control.requests import SubscribeRequest, UnsubscribeRequest

TURN_S = 1.0  # longest wait between two looks at what is owed


class Subscription:
    """Pushes of a running pipeline, in order; for one thread. It renews itself where the pipeline let it go."""

    def __init__(self, connection: Connection, request: SubscribeRequest) -> None:
        self._connection = connection
        self.lost = 0  # events that were forgotten before they could be sent
        self.skipped = 0  # pushes that were left out because we were slow
        try:
            self._received = self._opened(request)
        except BaseException:
            connection.close()
            raise

    def _opened(self, request: SubscribeRequest) -> Subscribed:
        return Subscribed(request, self._connection.ask(request), now_s())

    @property
    def ended(self) -> bool:
        """True once the pipeline has ended and its last push was taken."""
        return self._received.ended

    def take(self, timeout_s: float) -> Push | None:
        """The next push, or None where none comes in time. Raises ControlError where nobody answers."""
        deadline_s = now_s() + timeout_s
        while not self.ended:
            if (due := self._received.acknowledgement(now_s())) is not None:
                self._connection.send(due)
            message = self._connection.receive(min(deadline_s - now_s(), TURN_S))
            push = self._received.on_message(message) if message is not None else None
            if push is not None:
                self._note(push)
            if self._received.over and not self.ended:
                self._received = self._opened(self._received.again())
            if push is not None:
                return push
            if message is None and now_s() >= deadline_s:
                self._received.check(now_s())
                return None
        return None

    def _note(self, push: Push) -> None:
        self.skipped += push.skipped
        self.lost += push.data.lost if isinstance(push.data, EventBatch) else 0

    def __iter__(self) -> Iterator[Push]:
        """Every push until the pipeline ends."""
        while not self.ended:
            push = self.take(TURN_S)
            if push is not None:
                yield push

    def close(self) -> None:
        """Ends it, also for the pipeline."""
        self._connection.close(None if self._received.over else UnsubscribeRequest(self._received.subscription))

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
