"""What a client can ask of a running pipeline. Names and keys are those of the wire; see `docs/protocol.md`."""

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
from audio_pipeline.settings import setting

MOST_POSITION = (1 << 62) - 1
EVENTS, METERS, GRAPH, LEDGER = TOPICS = ("events", "meters", "graph", "ledger")
FASTEST_MS, SLOWEST_MS, EVERY_MS = 50, 60_000, 125


@dataclass(frozen=True)
class DescribeRequest(Request[Description]):
    """What the pipeline is made of: nodes, settings, links, paths."""


@dataclass(frozen=True)
class MetersRequest(Request[Meters]):
    """What moves: positions, levels, loads, queues, transport."""


@dataclass(frozen=True)
class LedgerRequest(Request[Ledger]):
    """What became of every frame, with histograms, counters, incidents and the log."""


@dataclass(frozen=True)
class SubscribeRequest(Request[SubscribeReply]):
    """Has topics pushed from now on; see [Subscriptions](#subscriptions)."""

    topics: tuple[str, ...] = setting(doc="of `events`, `meters`, `graph`, `ledger`, each at most once")
    every_ms: int = setting(
        EVERY_MS,
        "least time between two pushes of a topic other than `events`",
        unit="ms",
        minimum=FASTEST_MS,
        maximum=SLOWEST_MS,
    )
    since: int | None = setting(
        None, "`events` from this number on; nil: what happens from now on", minimum=0, maximum=MOST_POSITION
    )


@dataclass(frozen=True)
class AcknowledgeRequest(Request[Done]):
    """Gives a subscription credit: everything up to `number` was taken."""

    subscription: int = setting(doc="from the reply to `subscribe`", minimum=1)
    number: int = setting(doc="of the newest push that was taken, 0 for none", minimum=0)


@dataclass(frozen=True)
class UnsubscribeRequest(Request[Done]):
    """Ends a subscription of this connection."""

    subscription: int = setting(doc="from the reply to `subscribe`", minimum=1)


@dataclass(frozen=True)
class EventsRequest(Request[EventsReply]):
    """What happened since a number; `subscribe` has it pushed."""

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
        None, "the value as a person typed it, which a setting that is text takes in place of `value`"
    )


@dataclass(frozen=True)
class TransportRequest(Request[TransportReply]):
    """Plays, pauses or moves a source; the commands are listed below."""

    node: str = setting(doc="")
    command: str = setting(doc="")
    args: dict[str, Any] | None = setting(None, "of the command")


@dataclass(frozen=True)
class SendRequest(Request[SendReply]):
    """Gives a node an event. It is not kept: a node that is down refuses it."""

    node: str = setting(doc="")
    port: str = setting(doc="one of its event inputs")
    event: dict[str, Any] = setting(doc="a map with a text `kind`")


@dataclass(frozen=True)
class GraphRequest(Request[GraphReply]):
    """The graph as a file would state it now, live settings included, paths absolute."""


@dataclass(frozen=True)
class EditRequest(Request[EditReply]):
    """Changes the graph, all or nothing; answered when the change plays. A node that loads for long is waited for."""

    changes: tuple[dict[str, Any], ...] = setting(doc="1 to 256 [changes](#changes-of-the-graph)")
    revision: int = setting(doc="of the graph that the changes were made for", minimum=0)


@dataclass(frozen=True)
class UndoRequest(Request[EditReply]):
    """Takes the last change of the graph back."""

    revision: int | None = setting(None, "as in `edit`; nil: whatever it is", minimum=0)


@dataclass(frozen=True)
class RedoRequest(Request[EditReply]):
    """Makes a change that was taken back again."""

    revision: int | None = setting(None, "as in `edit`; nil: whatever it is", minimum=0)


@dataclass(frozen=True)
class PortsRequest(Request[PortsReply]):
    """What can be listened to, and which nodes take sound from elsewhere."""


@dataclass(frozen=True)
class StopRequest(Request[Done]):
    """Ends the pipeline: sources end, the end travels through the graph, files close."""
