"""The table of operations: what each is called, what is asked and answered, and which role of another host may.

Dispatch at the supervisor, the gateway's roles, both clients and the table in `docs/protocol.md` are made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from audio_pipeline.control import replies, requests, snapshots
from audio_pipeline.control.message import Request, built
from audio_pipeline.errors import ControlError, nearest

TIMEOUT_S = 5.0
EDIT_S = 150.0  # a new node may load for long
LISTEN, CONTROL, NOBODY = "listen", "control", None


@dataclass(frozen=True)
class Operation:
    """One row."""

    name: str
    request: type[Request[Any]]
    reply: type[Any]
    role: str | None  # least role of another host's key; None: not through a gateway
    timeout_s: float = TIMEOUT_S


OPERATIONS: Mapping[str, Operation] = {
    row.name: row
    for row in (
        Operation("describe", requests.DescribeRequest, snapshots.Description, LISTEN),
        Operation("meters", requests.MetersRequest, snapshots.Meters, LISTEN),
        Operation("ledger", requests.LedgerRequest, snapshots.Ledger, LISTEN),
        Operation("subscribe", requests.SubscribeRequest, replies.SubscribeReply, LISTEN),
        Operation("acknowledge", requests.AcknowledgeRequest, replies.Done, LISTEN),
        Operation("unsubscribe", requests.UnsubscribeRequest, replies.Done, LISTEN),
        Operation("events", requests.EventsRequest, replies.EventsReply, LISTEN),
        Operation("ports", requests.PortsRequest, replies.PortsReply, LISTEN),
        Operation("set", requests.SetRequest, replies.SetReply, CONTROL),
        Operation("transport", requests.TransportRequest, replies.TransportReply, CONTROL),
        Operation("send", requests.SendRequest, replies.SendReply, CONTROL),
        Operation("stop", requests.StopRequest, replies.Done, CONTROL),
        Operation("graph", requests.GraphRequest, replies.GraphReply, NOBODY),
        Operation("edit", requests.EditRequest, replies.EditReply, NOBODY, EDIT_S),
        Operation("undo", requests.UndoRequest, replies.EditReply, NOBODY, EDIT_S),
        Operation("redo", requests.RedoRequest, replies.EditReply, NOBODY, EDIT_S),
    )
}
BY_REQUEST: Mapping[type[Request[Any]], Operation] = {row.request: row for row in OPERATIONS.values()}
Q = TypeVar("Q", bound=Request[Any])
ENVELOPE = ("v", "token", "id", "op")


def operation_of(request: Request[Any]) -> Operation:
    """The row of a request."""
    return BY_REQUEST[type(request)]


def operation_named(op: Any) -> Operation:
    """The row of a name that a peer sent. Raises ControlError."""
    row = OPERATIONS.get(op) if isinstance(op, str) else None
    if row is None:
        raise ControlError(f"unknown operation {op!r:.80}{nearest(str(op)[:80], OPERATIONS)}")
    return row


def request_in(cls: type[Q], message: Mapping[str, Any]) -> Q:
    """The request in a message, without its envelope. Raises ControlError."""
    raw = {key: value for key, value in message.items() if key not in ENVELOPE}
    return built(cls, raw, str(message.get("op")))


def needed_role(op: str) -> str | None:
    """The least role with which another host may ask for this; None: it may not."""
    row = OPERATIONS.get(op)
    return row.role if row is not None else None
