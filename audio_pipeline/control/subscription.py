"""A subscription over a connection of its own."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

from audio_pipeline.control.connection import Connection
from audio_pipeline.control.conversation import now_s
from audio_pipeline.control.pushes import Progress, Push, Subscribed
from audio_pipeline.control.requests import SubscribeRequest

TURN_S = 1.0  # longest wait between two looks at what is owed


class Subscription(Progress):
    """Pushes of a running pipeline, in order; for one thread. It renews itself where the pipeline let it go."""

    def __init__(self, connection: Connection, request: SubscribeRequest) -> None:
        self._connection = connection
        try:
            self._received = Subscribed(request, connection.ask(request), now_s())
        except BaseException:
            connection.close()
            raise

    def take(self, timeout_s: float) -> Push | None:
        """The next push, or None where none comes in time. Raises ControlError where nobody answers."""
        received, deadline_s = self._received, now_s() + timeout_s
        while not received.ended:
            if (due := received.acknowledgement(now_s())) is not None:
                self._connection.send(due)
            message = self._connection.receive(min(deadline_s - now_s(), TURN_S))
            push = received.on_message(message) if message is not None else None
            if (renewal := received.renewal) is not None:
                received.renewed(self._connection.ask(renewal), now_s())
            if push is not None:
                return push
            if message is None and received.is_late(deadline_s, now_s()):
                return None
        return None

    def __iter__(self) -> Iterator[Push]:
        """Every push until the pipeline ends."""
        while not self.ended:
            push = self.take(TURN_S)
            if push is not None:
                yield push

    def close(self) -> None:
        """Ends it, also for the pipeline."""
        self._connection.close(self._received.goodbye)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
