"""A subscription over a connection of its own."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

from audio_pipeline.control.connection import Connection
from audio_pipeline.control.conversation import now_s
from audio_pipeline.control.pushes import TURN_S, Progress, Push, Subscribed, Take
from audio_pipeline.control.requests import SubscribeRequest


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
        take = Take(self._received, timeout_s)
        while (wait_s := take.wait_s) is not None:
            if (due := take.due) is not None:
                self._connection.send(due)
            if (renewal := take.on_message(self._connection.receive(wait_s))) is not None:
                take.on_renewed(self._connection.ask(renewal))
        return take.push

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
