"""The requests of clients. Names and keys are those of the wire; see `docs/protocol.md`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from audio_pipeline.control.message import Request
from audio_pipeline.control.replies import (
    Done,
    EditReply,
    EventsReply,
    GraphReply,
    PortsReply,
    SendReply,
    SetReply,
    SubscribeReply,
    TransportReply,
)
from audio_pipeline.control.snapshots import Description, Ledger, Meters
from audio_pipeline.graph_changes import MAX_CHANGES, GraphChange
from audio_pipeline.settings import items, setting

MOST_POSITION = (1 << 62) - 1
EVENTS, METERS, GRAPH, LEDGER = TOPICS = ("events", "meters", "graph", "ledger")
FASTEST_MS, SLOWEST_MS, EVERY_MS = 50, 60_000, 125


@dataclass(frozen=True)
class DescribeRequest(Request[Description]):
    """The structure of the pipeline: nodes, settings, links, paths."""


@dataclass(frozen=True)
class MetersRequest(Request[Meters]):
    """The changing values: positions, levels, loads, queues, transport."""


@dataclass(frozen=True)
class LedgerRequest(Request[Ledger]):
    """The account of every frame, with histograms, counters, incidents and the log."""


@dataclass(frozen=True)
class SubscribeRequest(Request[SubscribeReply]):
    """Starts pushes of topics; see [Subscriptions](#subscriptions)."""

    topics: tuple[str, ...] = setting(doc="of `events`, `meters`, `graph`, `ledger`, each at most once")
    every_ms: int = setting(
        EVERY_MS,
        "least time between two pushes of a topic other than `events`",
        unit="ms",
        minimum=FASTEST_MS,
        maximum=SLOWEST_MS,
    )
    since: int | None = setting(
        None, "`events` from this number on; nil: from the next one on", minimum=0, maximum=MOST_POSITION
    )


@dataclass(frozen=True)
class AcknowledgeRequest(Request[Done]):
    """Grants a subscription credit: the client has taken everything up to `number`."""

    subscription: int = setting(doc="from the reply to `subscribe`", minimum=1)
    number: int = setting(doc="of the newest push taken, 0 for none", minimum=0)


@dataclass(frozen=True)
class UnsubscribeRequest(Request[Done]):
    """Ends a subscription of this connection."""

    subscription: int | None = setting(None, "from the reply to `subscribe`; nil: all of this connection", minimum=1)


@dataclass(frozen=True)
class EventsRequest(Request[EventsReply]):
    """Events from a number on; `subscribe` pushes them."""

    since: int = setting(0, "0, or `next` of the last reply", minimum=0, maximum=MOST_POSITION)


@dataclass(frozen=True)
class SetRequest(Request[SetReply]):
    """Changes a live setting of a node."""

    node: str = setting(doc="")
    name: str = setting(doc="such as `gain_db` or `inputs.vocals.gain_db`")
    value: Any = setting(doc="")
    at: int | None = setting(
        None, "a position (a whole number of samples), or nil for now", minimum=0, maximum=MOST_POSITION
    )
    typed: str | None = setting(
        None, "the value as typed by a person, used in place of `value` by a setting of type text"
    )


@dataclass(frozen=True)
class TransportRequest(Request[TransportReply]):
    """Plays, pauses or moves a source; the commands are listed below."""

    node: str = setting(doc="")
    command: str = setting(doc="")
    args: dict[str, Any] | None = setting(None, "of the command")


@dataclass(frozen=True)
class SendRequest(Request[SendReply]):
    """Sends a node an event. The supervisor keeps no copy: for a node that is down it refuses the event."""

    node: str = setting(doc="")
    port: str = setting(doc="one of its event inputs")
    event: dict[str, Any] = setting(doc="a map with a text `kind`")


@dataclass(frozen=True)
class GraphRequest(Request[GraphReply]):
    """The current graph as the contents of a file, with live settings and absolute paths."""


@dataclass(frozen=True)
class EditRequest(Request[EditReply]):
    """Changes the graph, all or nothing. The reply comes when the change plays, after slow nodes have loaded."""

    changes: tuple[GraphChange, ...] = items(f"1 to {MAX_CHANGES} [changes](#changes-of-the-graph)", MAX_CHANGES)
    revision: int = setting(doc="of the graph to which the changes apply", minimum=0)


@dataclass(frozen=True)
class UndoRequest(Request[EditReply]):
    """Reverts the last change of the graph."""

    revision: int | None = setting(None, "as in `edit`; nil: any", minimum=0)


@dataclass(frozen=True)
class RedoRequest(Request[EditReply]):
    """Repeats a reverted change."""

    revision: int | None = setting(None, "as in `edit`; nil: any", minimum=0)


@dataclass(frozen=True)
class PortsRequest(Request[PortsReply]):
    """The outputs for taps, and the nodes that take sound from other hosts."""


@dataclass(frozen=True)
class StopRequest(Request[Done]):
    """Ends the pipeline: sources end, the end travels through the graph, files close."""
