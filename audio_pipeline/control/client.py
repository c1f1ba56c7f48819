"""A control client for programs without an event loop; `async_client` has the same calls for those with one."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

from audio_pipeline.control import requests
from audio_pipeline.control.codec import MSGPACK, Codec
from audio_pipeline.control.connection import Connection, SocketTransport, Transport
from audio_pipeline.control.conversation import silence
from audio_pipeline.control.events import Event
from audio_pipeline.control.message import Request
from audio_pipeline.control.operations import TIMEOUT_S
from audio_pipeline.control.replies import EditReply, GraphReply, PortsReply, SendReply, SetReply, TransportReply
from audio_pipeline.control.snapshots import Description, Ledger, Meters
from audio_pipeline.control.subscription import Subscription
from audio_pipeline.errors import ControlError, PipelineError
from audio_pipeline.graph_changes import GraphChange, changes_in
from audio_pipeline.host import runtime

R = TypeVar("R")


class Client:
    """Talks to a running pipeline; may be used from several threads. A subscription has a connection of its own."""

    def __init__(self, endpoint: str, token: str, codec: Codec = MSGPACK) -> None:
        self._endpoint, self._token, self._codec = endpoint, token, codec
        self._lock = threading.Lock()
        self._seen = 0
        self._connection = self._dial()

    @classmethod
    def attach(cls, which: str | None = None) -> Client:
        """To the running pipeline called `which`, or the only one. Raises ControlError."""
        return cls(*access(which))

    # -- requests -------------------------------------------------------------------------------------

    def ask(self, request: Request[R], timeout_s: float | None = None) -> R:
        """Sends a request and waits for its reply. Raises ControlError with the reason."""
        with self._lock:
            return self._connection.ask(request, timeout_s)

    def request(self, op: str, *, timeout_s: float = TIMEOUT_S, **args: Any) -> Any:
        """As `ask`, by name and without types: what the pipeline replied, as plain values."""
        with self._lock:
            return self._connection.call(op, args, timeout_s)

    def _silent(self, op: str, timeout_s: float) -> str:
        return silence(op, timeout_s)

    def _transport(self) -> Transport:
        """What carries the messages of one more connection."""
        return SocketTransport(self._endpoint)

    def _dial(self) -> Connection:
        """One more connection to the same pipeline."""
        return Connection(self._transport(), self._token, self._codec, self._silent)

    # -- what there is to see ---------------------------------------------------------------------------

    def describe(self) -> Description:
        """What the pipeline is made of."""
        return self.ask(requests.DescribeRequest())

    def meters(self) -> Meters:
        """The changing values: positions, levels, loads, queues, transport."""
        return self.ask(requests.MetersRequest())

    def ledger(self) -> Ledger:
        """The account of every frame, with histograms, counters, incidents and the log."""
        return self.ask(requests.LedgerRequest())

    def events(self) -> list[Event]:
        """What happened since the last call."""
        reply = self.ask(requests.EventsRequest(self._seen))
        self._seen = reply.next
        return list(reply.events)

    def subscribe(
        self, topics: Sequence[str], every_ms: int = requests.EVERY_MS, since: int | None = None
    ) -> Subscription:
        """Has `events`, `meters`, `graph` or `ledger` pushed; events from number `since` on, or from now on."""
        return Subscription(self._dial(), requests.SubscribeRequest(tuple(topics), every_ms, since))

    # -- what can be done ---------------------------------------------------------------------------------

    def set(self, node: str, name: str, value: Any, at: int | None = None, *, typed: str | None = None) -> SetReply:
        """Changes a live setting; the reply says from which position on, and in how many ms that is audible.

        `typed` is what a person typed: a setting that is text takes that, whatever YAML makes of it.
        """
        return self.ask(requests.SetRequest(node, name, value, at, typed))

    def transport(self, node: str, command: str, **args: Any) -> TransportReply:
        """play, pause, seek (seconds=), next, loop (on=)."""
        return self.ask(requests.TransportRequest(node, command, args))

    def send(self, node: str, port: str, kind: str, **data: Any) -> SendReply:
        """An event for an event input of a node, such as `send("voice", "text", "text", text="Good evening. ")`."""
        return self.ask(requests.SendRequest(node, port, {"kind": kind, **data}))

    def graph(self) -> GraphReply:
        """The graph as wanted now, as plain values."""
        return self.ask(requests.GraphRequest())

    def edit(self, changes: Sequence[GraphChange | Mapping[str, Any]], revision: int | None = None) -> EditReply:
        """Changes the graph while it plays, all or nothing; returns when the change is audible.

        `revision` is that of the graph the changes were made for; None: as it is now.
        """
        made_for = self.graph().revision if revision is None else revision
        return self.ask(requests.EditRequest(changes_in(changes), made_for))

    def undo(self) -> EditReply:
        """Takes the last change of the graph back."""
        return self.ask(requests.UndoRequest())

    def redo(self) -> EditReply:
        """Makes a change that was taken back again."""
        return self.ask(requests.RedoRequest())

    def ports(self) -> PortsReply:
        """What can be listened to, and which nodes take sound from elsewhere."""
        return self.ask(requests.PortsRequest())

    def stop(self) -> None:
        """Ends the pipeline cleanly."""
        self.ask(requests.StopRequest())

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def access(which: str | None) -> tuple[str, str]:
    """Endpoint and token of the running pipeline called `which`, or the only one. Raises ControlError."""
    try:
        run = runtime.attach(which)
        return run.control, run.token
    except PipelineError as error:
        raise ControlError(str(error)) from error
