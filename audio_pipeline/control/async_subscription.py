"""A subscription over a connection of its own, for one task."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType

from audio_pipeline.control.async_connection import AsyncConnection
from audio_pipeline.control.conversation import now_s
from audio_pipeline.control.pushes import TURN_S, Progress, Push, Subscribed, Take
from audio_pipeline.control.requests import SubscribeRequest


class AsyncSubscription(Progress):
    """Pushes of a running pipeline, in order, for one task. It renews itself where the pipeline let it go."""

    def __init__(self, connection: AsyncConnection, received: Subscribed) -> None:
        self._connection, self._received = connection, received

    async def take(self, timeout_s: float) -> Push | None:
        """The next push, or None where none comes in time. Raises ControlError where nobody answers."""
        take = Take(self._received, timeout_s)
        while (wait_s := take.wait_s) is not None:
            if (due := take.due) is not None:
                await self._connection.send(due)
            if (renewal := take.on_message(await self._connection.receive(wait_s))) is not None:
                take.on_renewed(await self._connection.open_exchange(renewal))
        return take.push

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
