"""A subscription over a connection of its own, for one task."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType

from audio_pipeline.control.async_connection import AsyncConnection
from audio_pipeline.control.conversation import now_s
from audio_pipeline.control.pushes import EventBatch, Push, Subscribed
from audio_pipeline.control.requests import SubscribeRequest, UnsubscribeRequest
from audio_pipeline.control.subscription import TURN_S


class AsyncSubscription:
    """Pushes of a running pipeline, in order, for one task. It renews itself where the pipeline let it go."""

    def __init__(self, connection: AsyncConnection, received: Subscribed) -> None:
        self._connection, self._received = connection, received
        self.lost = 0  # events that were forgotten before they could be sent
        self.skipped = 0  # pushes that were left out because we were slow

    @property
    def ended(self) -> bool:
        """True once the pipeline has ended and its last push was taken."""
        return self._received.ended

    async def take(self, timeout_s: float) -> Push | None:
        """The next push, or None where none comes in time. Raises ControlError where nobody answers."""
        deadline_s = now_s() + timeout_s
        while not self.ended:
            if (due := self._received.acknowledgement(now_s())) is not None:
                await self._connection.send(due)
            message = await self._connection.receive(min(deadline_s - now_s(), TURN_S))
            push = self._received.on_message(message) if message is not None else None
            if push is not None:
                self._note(push)
            if self._received.over and not self.ended:
                self._received = await _opened(self._connection, self._received.again())
            if push is not None:
                return push
            if message is None and now_s() >= deadline_s:
                self._received.check(now_s())
                return None
        return None

    def _note(self, push: Push) -> None:
        self.skipped += push.skipped
        self.lost += push.data.lost if isinstance(push.data, EventBatch) else 0

    async def __aiter__(self) -> AsyncIterator[Push]:
        """Every push until the pipeline ends."""
        while not self.ended:
            push = await self.take(TURN_S)
            if push is not None:
                yield push

    async def close(self) -> None:
        """Ends it, also for the pipeline."""
        await self._connection.close(None if self._received.over else UnsubscribeRequest(self._received.subscription))

    async def __aenter__(self) -> AsyncSubscription:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def open_subscription(connection: AsyncConnection, request: SubscribeRequest) -> AsyncSubscription:
    """Over a connection that it owns from now on. Raises ControlError."""
    try:
        return AsyncSubscription(connection, await _opened(connection, request))
    except BaseException:
        await connection.close()
        raise


async def _opened(connection: AsyncConnection, request: SubscribeRequest) -> Subscribed:
    return Subscribed(request, await connection.open_exchange(request), now_s())
