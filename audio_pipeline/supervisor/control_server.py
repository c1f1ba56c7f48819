"""Carries out the requests of clients: a handler for each operation of the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from audio_pipeline.control import requests
from audio_pipeline.control.codec import MALFORMED, VERSION, codec_of, decode
from audio_pipeline.control.message import Request
from audio_pipeline.control.operations import operation_named, request_in
from audio_pipeline.control.replies import (
    Done,
    EventsReply,
    OutputPort,
    PortsReply,
)
from audio_pipeline.errors import ControlError, PipelineError, WireError
from audio_pipeline.supervisor.callers import Caller, SendBytes
from audio_pipeline.supervisor.editor import Editor
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.node_requests import NodeRequests
from audio_pipeline.supervisor.overview import Overview
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.shortage import reason_of
from audio_pipeline.supervisor.subscriptions import Subscriptions

Q = TypeVar("Q", bound=Request[Any])
Handler = Callable[[Caller, Any], Any]  # (caller, request): the reply, or None where it comes later
ENDED = "the pipeline ended"


class ControlServer:
    """Lives in the supervisor's thread."""

    def __init__(
        self,
        state: PipelineState,
        life: Lifecycle,
        events: EventStream,
        editor: Editor,
        overview: Overview,
        node_requests: NodeRequests,
        subscriptions: Subscriptions,
        send: SendBytes,
    ) -> None:
        self._state, self._life, self._events = state, life, events
        self._send = send
        self._handlers: Mapping[type[Request[Any]], Handler] = {
            requests.DescribeRequest: lambda caller, request: overview.describe(),
            requests.MetersRequest: lambda caller, request: overview.meters(),
            requests.LedgerRequest: lambda caller, request: overview.ledger(),
            requests.SubscribeRequest: subscriptions.open,
            requests.AcknowledgeRequest: subscriptions.acknowledge,
            requests.UnsubscribeRequest: subscriptions.close,
            requests.EventsRequest: self._events_since,
            requests.PortsRequest: self._ports,
            requests.SetRequest: node_requests.set,
            requests.TransportRequest: node_requests.transport,
            requests.SendRequest: node_requests.send_event,
            requests.StopRequest: self._stop,
            requests.GraphRequest: lambda caller, request: editor.show(),
            requests.EditRequest: editor.edit,
            requests.UndoRequest: partial(editor.step, back=True),
            requests.RedoRequest: partial(editor.step, back=False),
        }

    def request(self, address: bytes, message: Mapping[str, object], data: bytes) -> None:
        """Answers a client, at once or when a node has answered. `message` is what `data` holds."""
        caller = Caller(address, message.get("id"), self._send, codec_of(data))
        op = message.get("op")
        try:
            reply = self._handle(caller, message)
        except PipelineError as error:
            caller.refuse(str(error))
        except MALFORMED as error:
            caller.refuse(f"{op}: {type(error).__name__} {error}")
        except (OSError, MemoryError) as error:  # the system has too little of something: only this request fails
            caller.refuse(f"{op}: {reason_of(error)}")
        else:
            if reply is not None:
                caller.reply(reply)

    def _handle(self, caller: Caller, message: Mapping[str, object]) -> Any:
        if message.get("v") != VERSION:
            raise ControlError(f"control protocol version {message.get('v')!r}, expected {VERSION}")
        kind = operation_named(message.get("op")).request
        return self._handlers[kind](caller, request_in(kind, message))

    def refuse(self, address: bytes, data: bytes) -> None:
        """Answers a request that came during the end."""
        try:
            number = decode(data).get("id")
        except WireError:
            return
        if number is not None:
            Caller(address, number, self._send, codec_of(data)).refuse(ENDED)

    def _events_since(self, caller: Caller, request: requests.EventsRequest) -> EventsReply:
        following, events = self._events.kept.since(request.since)
        return EventsReply(following, tuple(events))

    def _ports(self, caller: Caller, request: requests.PortsRequest) -> PortsReply:
        graph = self._state.graph
        audible = {
            str(link.source) for spec in graph.nodes.values() if spec.cls.audible for link in spec.inputs.values()
        }
        names = [f"{spec.name}.{port}" for spec in graph.nodes.values() for port in spec.ports.outputs]
        feeds = tuple(spec.name for spec in graph.nodes.values() if spec.cls.remote_input)
        return PortsReply(graph.name, graph.rate, tuple(OutputPort(name, name in audible) for name in names), feeds)

    def _stop(self, caller: Caller, request: requests.StopRequest) -> Done:
        self._life.stop()
        return Done()
