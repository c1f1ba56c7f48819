"""`WS /v1/sessions/{id}/events`: the state once, patches of it, events, and meters as binary."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect

from audio_pipeline.errors import PipelineError
from audio_pipeline.service.web.errors import ApiError
from audio_pipeline.service.web.feeds import Feeds, Viewer
from audio_pipeline.service.web.identify import allowed
from audio_pipeline.service.web.state import Service

NOT_ALLOWED, NOT_FOUND = 4401, 4404
MOST_VIEWERS = 256


class Events:
    """The endpoint; it holds one feed a session."""

    def __init__(self, service: Service, feeds: Feeds) -> None:
        self._service, self._feeds = service, feeds
        self._viewers = 0

    async def serve(self, socket: WebSocket) -> None:
        """One connection, from its handshake to its end."""
        try:
            allowed(self._service, socket.scope["headers"], "listen")
            folder = self._service.sessions.find(socket.path_params["id"])
            feed = self._feeds.of(folder) if folder is not None else None
        except (ApiError, PipelineError):
            await socket.close(NOT_ALLOWED)  # before it was accepted: the client gets 403
            return
        if feed is None or self._viewers >= MOST_VIEWERS:
            await socket.close(NOT_FOUND)
            return
        await socket.accept()
        viewer = feed.join()
        self._viewers += 1
        try:
            await _first_of(_send(socket, viewer), _receive(socket))
        finally:
            self._viewers -= 1
            feed.leave(viewer)


async def _send(socket: WebSocket, viewer: Viewer) -> None:
    while True:
        message = await viewer.take()
        send: Callable[..., Awaitable[None]] = socket.send_text if isinstance(message, str) else socket.send_bytes
        await send(message)


async def _receive(socket: WebSocket) -> None:
    """Whatever a viewer sends is passed over; what counts is that it goes."""
    with suppress(WebSocketDisconnect):
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass


async def _first_of(*works: Awaitable[None]) -> None:
    """Until one has ended; the other is given up."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
