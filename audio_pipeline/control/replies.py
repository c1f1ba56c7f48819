"""The replies of the pipeline. Keys are those of the wire; see `docs/protocol.md`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from audio_pipeline.control.events import Event
from audio_pipeline.settings import setting


@dataclass(frozen=True)
class Done:
    """An empty result."""


@dataclass(frozen=True)
class SetReply:
    """When the new value is audible."""

    position: int | None = setting(
        None,
        "output position of the node from which the value holds; nil: the node is down and gets it when it is back",
    )
    heard_in_ms: float | None = setting(None, "stated latency from there to the farthest sink", unit="ms")
    note: str = setting("", "why `position` is nil")


@dataclass(frozen=True)
class TransportReply:
    """What the source replied."""

    result: Any = setting(None, "the source's answer, by command")
    heard_in_ms: float | None = setting(None, "stated latency from the source to the farthest sink", unit="ms")
    note: str = setting("", "set if the source is down and gets the command when it is back")


@dataclass(frozen=True)
class SendReply:
    """The node has taken the event."""

    position: int | None = setting(None, "output position of the node")
    heard_in_ms: float | None = setting(None, "stated latency from there to the farthest sink", unit="ms")


@dataclass(frozen=True)
class EventsReply:
    """At most 1 MiB at once: ask again from `next` until the list is empty."""

    next: int = setting(doc="number for the next request")
    events: tuple[Event, ...] = setting(doc="oldest first")


@dataclass(frozen=True)
class SubscribeReply:
    """The subscription as it was granted."""

    subscription: int = setting(doc="its number, which each push carries")
    every_ms: int = setting(doc="the interval in use", unit="ms")
    window: int = setting(doc="pushes that may be under way without an `acknowledge`")
    lease_s: float = setting(doc="without an `acknowledge` for this long the subscription ends", unit="s")
    since: int = setting(doc="number of the first event to come")


@dataclass(frozen=True)
class GraphReply:
    """The graph, and what can be done to it."""

    revision: int = setting(doc="")
    graph: dict[str, Any] = setting(doc="as in a file")
    can_undo: int = setting(doc="how many changes")
    can_redo: int = setting(doc="how many changes")
    changing: bool = setting(doc="a change is under way")


@dataclass(frozen=True)
class EditReply:
    """The change plays."""

    revision: int = setting(doc="of the graph, now")
    added: tuple[str, ...] = setting(doc="nodes")
    removed: tuple[str, ...] = setting(doc="nodes")
    touched: tuple[str, ...] = setting(doc="nodes with changed connections")


@dataclass(frozen=True)
class OutputPort:
    """An output that a tap can listen to."""

    port: str = setting(doc="`node.port`")
    heard: bool = setting(doc="it leads to a loudspeaker")


@dataclass(frozen=True)
class PortsReply:
    """Where other hosts can connect."""

    name: str = setting(doc="of the pipeline")
    rate: int = setting(doc="of the graph", unit="Hz")
    outputs: tuple[OutputPort, ...] = setting(doc="`{port, heard}`: `heard` if it leads to a loudspeaker")
    feeds: tuple[str, ...] = setting(doc="nodes that take sound from other hosts")
