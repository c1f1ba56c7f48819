"""A control client for programs with an event loop: the calls and messages of `client`, awaited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

from audio_pipeline.control import requests
from audio_pipeline.control.async_connection import AsyncConnection
from audio_pipeline.control.async_subscription import AsyncSubscription, open_subscription
from audio_pipeline.control.client import access
from audio_pipeline.control.codec import MSGPACK, Codec
from audio_pipeline.control.events import Event
from audio_pipeline.control.message import Request
from audio_pipeline.control.operations import TIMEOUT_S
from audio_pipeline.control.replies import EditReply, GraphReply, PortsReply, SendReply, SetReply, TransportReply
from audio_pipeline.control.snapshots import Description, Ledger, Meters
from audio_pipeline.graph_changes import GraphChange, changes_in

R = TypeVar("R")


class AsyncClient:
    """Talks to a running pipeline from one event loop; any number of requests may be under way.

    Not for sound: links stay with threads.
    """

    def __init__(self, endpoint: str, token: str, codec: Codec = MSGPACK) -> None:
        self._where = (endpoint, token, codec)
        self._seen = 0
        self._connection = AsyncConnection(*self._where)

    @classmethod
    def attach(cls, which: str | None = None) -> AsyncClient:
        """To the running pipeline called `which`, or the only one. Raises ControlError."""
        return cls(*access(which))

    # -- requests -------------------------------------------------------------------------------------

    async def ask(self, request: Request[R], timeout_s: float | None = None) -> R:
        """Sends a request and waits for its reply. Raises ControlError with the reason."""
        return await self._connection.ask(request, timeout_s)

    async def request(self, op: str, *, timeout_s: float = TIMEOUT_S, **args: Any) -> Any:
        """As `ask`, by name and without types: what the pipeline replied, as plain values."""
        return await self._connection.call(op, args, timeout_s)

    # -- what there is to see ---------------------------------------------------------------------------

    async def describe(self) -> Description:
        """What the pipeline is made of."""
        return await self.ask(requests.DescribeRequest())

    async def meters(self) -> Meters:
        """The changing values: positions, levels, loads, queues, transport."""
        return await self.ask(requests.MetersRequest())

    async def ledger(self) -> Ledger:
        """The account of every frame, with histograms, counters, incidents and the log."""
        return await self.ask(requests.LedgerRequest())

    async def events(self) -> list[Event]:
        """What happened since the last call."""
        reply = await self.ask(requests.EventsRequest(self._seen))
        self._seen = reply.next
        return list(reply.events)

    async def subscribe(
        self, topics: Sequence[str], every_ms: int = requests.EVERY_MS, since: int | None = None
    ) -> AsyncSubscription:
        """Has `events`, `meters`, `graph` or `ledger` pushed; events from number `since` on, or from now on."""
        request = requests.SubscribeRequest(tuple(topics), every_ms, since)
        return await open_subscription(AsyncConnection(*self._where), request)

    # -- what can be done ---------------------------------------------------------------------------------

    async def set(
        self, node: str, name: str, value: Any, at: int | None = None, *, typed: str | None = None
    ) -> SetReply:
        """Changes a live setting; the reply says from which position on, and in how many ms that is audible."""
        return await self.ask(requests.SetRequest(node, name, value, at, typed))

    async def transport(self, node: str, command: str, **args: Any) -> TransportReply:
        """play, pause, seek (seconds=), next, loop (on=)."""
        return await self.ask(requests.TransportRequest(node, command, args))

    async def send(self, node: str, port: str, kind: str, **data: Any) -> SendReply:
        """An event for an event input of a node, such as `send("voice", "text", "text", text="Good evening. ")`."""
        return await self.ask(requests.SendRequest(node, port, {"kind": kind, **data}))

    async def graph(self) -> GraphReply:
        """The graph as wanted now, as plain values."""
        return await self.ask(requests.GraphRequest())

    async def edit(self, changes: Sequence[GraphChange | Mapping[str, Any]], revision: int | None = None) -> EditReply:
        """Changes the graph while it plays, all or nothing; returns when the change is audible."""
        made_for = (await self.graph()).revision if revision is None else revision
        return await self.ask(requests.EditRequest(changes_in(changes), made_for))

    async def undo(self) -> EditReply:
        """Takes the last change of the graph back."""
        return await self.ask(requests.UndoRequest())

    async def redo(self) -> EditReply:
        """Makes a change that was taken back again."""
        return await self.ask(requests.RedoRequest())

    async def ports(self) -> PortsReply:
        """What can be listened to, and which nodes take sound from elsewhere."""
        return await self.ask(requests.PortsRequest())

    async def stop(self) -> None:
        """Ends the pipeline cleanly."""
        await self.ask(requests.StopRequest())

    async def close(self) -> None:
        await self._connection.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
