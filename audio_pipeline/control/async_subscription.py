"""A subscription over a connection of its own, for one task."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType

from audio_pipeline.control.async_connection import AsyncConnection
from audio_pipeline.control.conversation import now_s
from audio_pipeline.control.pushes import Progress, Push, Subscribed
from audio_pipeline.control.requests import SubscribeRequest
from audio_pipeline.control.subscription import TURN_S


class AsyncSubscription(Progress):
    """Pushes of a running pipeline, in order, for one task. It renews itself where the pipeline let it go."""

    def __init__(self, connection: AsyncConnection, received: Subscribed) -> None:
        self._connection, self._received = connection, received

    async def take(self, timeout_s: float) -> Push | None:
        """The next push, or None where none comes in time. Raises ControlError where nobody answers."""
        received, deadline_s = self._received, now_s() + timeout_s
        while not received.ended:
            if (due := received.acknowledgement(now_s())) is not None:
                await self._connection.send(due)
            message = await self._connection.receive(min(deadline_s - now_s(), TURN_S))
            push = received.on_message(message) if message is not None else None
            if (renewal := received.renewal) is not None:
                received.renewed(await self._connection.open_exchange(renewal), now_s())
            if push is not None:
                return push
            if message is None and received.is_late(deadline_s, now_s()):
                return None
        return None

    async def __aiter__(self) -> AsyncIterator[Push]:
        """Every push until the pipeline ends."""
        while not self.ended:
            push = await self.take(TURN_S)
            if push is not None:
                yield push

    async def close(self) -> None:
        """Ends it, also for the pipeline."""
        await self._connection.close(self._received.goodbye)

    async def __aenter__(self) -> AsyncSubscription:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def open_subscription(connection: AsyncConnection, request: SubscribeRequest) -> AsyncSubscription:
    """Over a connection that it owns from now on. Raises ControlError."""
    try:
        reply = await connection.open_exchange(request)
        return AsyncSubscription(connection, Subscribed(request, reply, now_s()))
    except BaseException:
        await connection.close()
        raise
