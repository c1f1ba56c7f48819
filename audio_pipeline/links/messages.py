"""The messages of links and feeds: a frozen dataclass for each, in one table by the `t` that it has on the wire.

`docs/protocol.md` prints the table, and `links.message_codec` packs and reads by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from audio_pipeline.links.limits import MAX_STREAM, MOST, MOST_NS, PROTOCOL
from audio_pipeline.settings import setting


def number(doc: str, default: int | None = None, **over: Any) -> Any:
    """A whole number from 0 on, which may be left out."""
    return setting(default, doc, **{"minimum": 0, "maximum": MOST, **over})


def counted(doc: str) -> Any:
    """A whole number from 0 on, which must be there."""
    return setting(doc=doc, minimum=0, maximum=MOST)


def moment(doc: str) -> Any:
    """A host time in ns, which may be left out."""
    return setting(None, doc, unit="ns", minimum=-MOST_NS, maximum=MOST_NS)


@dataclass(frozen=True, kw_only=True)
class LinkMessage:
    """What one end sends the other; of a kind that only a newer peer knows, no more than this."""

    KIND: ClassVar[str] = ""
    SENDER: ClassVar[str] = "either"
    stream: int = setting(0, "one of those that share a connection", minimum=0, maximum=MAX_STREAM)


@dataclass(frozen=True, kw_only=True)
class Hello(LinkMessage):
    """Opens or continues a link; every 20 ms until the welcome."""

    KIND, SENDER = "hello", "consumer"
    v: int = setting(doc=f"{PROTOCOL}")
    token: str = setting("", "from the runtime folder; the gateway adds it for other hosts")
    instance: int = counted("differs between processes behind the same identity")
    since: int | None = number("a position: the producer sends its history again from there")
    window: int = counted("frames that may be under way at once")
    policy: str = setting("", "as the consumer understands it; the producer uses the graph's")
    greeting: int = number(
        "differs between connections of the same instance: frames under way beyond `received` are lost, and the "
        "consumer discards frames that arrive before the welcome",
        0,
    )
    epoch: int | None = number("of `received`")
    received: int = number("highest seq that arrived in this epoch, taken or not", 0)
    queue: int | None = number("taps: a shorter queue at the producer, in frames")
    port: str | None = setting(None, "through a gateway: the output")
    format: str | None = setting(None, "through a gateway: `f32`, `s16` or `opus`")


@dataclass(frozen=True, kw_only=True)
class Credit(LinkMessage):
    """Grants frames; after some were taken, and every 100 ms in any case."""

    KIND, SENDER = "credit", "receiver of frames"
    epoch: int | None = number("of the addressed producer, which ignores credit for another epoch")
    delivered: int = counted("highest seq taken, 0 for none")
    granted: int = counted("`delivered` + the window")
    greeting: int | None = number("of the addressed feed, which ignores credit for another greeting")


@dataclass(frozen=True, kw_only=True)
class Bye(LinkMessage):
    """The sender leaves for good; from a producer the answer to one with `delivered`: the consumer may close."""

    KIND = "bye"
    instance: int | None = number("by default the last one")
    epoch: int | None = number("of `delivered`")
    delivered: int | None = number("the last frame taken; a consumer that does not wait for an answer leaves it out")


@dataclass(frozen=True, kw_only=True)
class Welcome(LinkMessage):
    """Answers a hello, or an offer."""

    KIND, SENDER = "welcome", "the greeted side"
    v: int = setting(PROTOCOL, f"{PROTOCOL}")
    epoch: int = number("of a link: seq counts from 1 in it", 0)
    rate: int | None = number("in Hz, as planned for the port; each frame states its own", unit="Hz")
    channels: int | None = number("likewise")
    timeline: str | None = setting(None, "name of the node that began the timeline of these positions")
    greeting: int | None = number("from the hello that it answers")
    window: int | None = number("of a feed: frames that may be under way at once")


@dataclass(frozen=True, kw_only=True)
class Refused(LinkMessage):
    """Answers a hello or an offer that is not accepted or cannot be read."""

    KIND, SENDER = "refused", "the greeted side"
    why: str = setting(doc="one sentence")
    code: str | None = setting(None, "for programs: `denied`, `format`, `full`, `busy`, `bad`, `silent`")


@dataclass(frozen=True, kw_only=True)
class Who(LinkMessage):
    """The peer is unknown (after a restart, for example); it sends its hello or offer again."""

    KIND, SENDER = "who", "the greeted side"


@dataclass(frozen=True, kw_only=True)
class Still(LinkMessage):
    """Needs no answer; its sender detects a disconnected peer with it, and shows that it is there."""

    KIND, SENDER = "still", "the greeted side"


@dataclass(frozen=True, kw_only=True)
class TimelineChange(LinkMessage):
    """To taps: from a frame on, positions and generations belong to another timeline."""

    KIND, SENDER = "timeline", "producer"
    timeline: str = setting(doc="name of the node that began the timeline of these positions")
    epoch: int = counted("of that frame")
    from_: int = counted("its number")


@dataclass(frozen=True, kw_only=True)
class Offer(LinkMessage):
    """Opens or continues a feed; every 20 ms until the welcome."""

    KIND, SENDER = "offer", "producer of a feed"
    v: int = setting(doc=f"{PROTOCOL}")
    node: str = setting("", "the node that takes sound from other hosts")
    instance: int = counted("as in a hello")
    greeting: int = number("as in a hello", 0)
    format: str | None = setting(None, "through a gateway: `f32`, `s16` or `opus`")
    token: str = setting("", "the gateway adds it")
    user: str | None = setting(None, "the gateway adds the name of the key")


@dataclass(frozen=True, kw_only=True)
class Alive(LinkMessage):
    """The producer of a feed is there; every 100 ms."""

    KIND, SENDER = "alive", "producer of a feed"


@dataclass(frozen=True, kw_only=True)
class TimeExchange(LinkMessage):
    """Asks a gateway for its monotonic clock (`t1` alone), and its answer."""

    KIND = "time"
    t1: int = setting(doc="any; it is repeated in the answer", unit="ns", minimum=-MOST_NS, maximum=MOST_NS)
    t2: int | None = moment("when the question arrived")
    t3: int | None = moment("when the answer left")


@dataclass(frozen=True, kw_only=True)
class Audible(LinkMessage):
    """Over a WebSocket: what is audible at the listener at a moment, and how its buffer fares; once a second."""

    KIND, SENDER = "audible", "consumer"
    position: int = counted("of the sample that is audible")
    at: int = setting(doc="when, by the listener's clock", unit="ns", minimum=-MOST_NS, maximum=MOST_NS)
    buffer_ms: float = setting(doc="what it holds", unit="ms", minimum=0, maximum=1e6)
    underruns: int = counted("so far")


@dataclass(frozen=True, kw_only=True)
class Leaving(LinkMessage):
    """Over a WebSocket: the connection will be closed, so sound should come from elsewhere then."""

    KIND, SENDER = "leaving", "the greeted side"
    in_s: float = setting(doc="how soon", unit="s", minimum=0)


MESSAGES: Mapping[str, type[LinkMessage]] = {
    message.KIND: message
    for message in (
        Hello,
        Credit,
        Bye,
        Welcome,
        Refused,
        Who,
        Still,
        TimelineChange,
        Offer,
        Alive,
        TimeExchange,
        Audible,
        Leaving,
    )
}
