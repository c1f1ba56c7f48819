"""What both ends of a link share: the port's terms, the messages of the link protocol, and their limits.

See `docs/protocol.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import zmq

from audio_pipeline.errors import WireError
from audio_pipeline.links.credit import LOSSLESS, Grant
from audio_pipeline.packed import unpack_map

PROTOCOL = 1
KEEPALIVE_NS = 100_000_000
IMPATIENT_NS = 20_000_000  # while the producer has not welcomed us
STALLING = ("block", LOSSLESS)
MAX_TAPS = 64
TAP_FRAMES = 100
TAPS = "taps"  # all of a port's taps count together: they come and go, and a board has room for so many names
EVENTS, POLLIN = int(zmq.EVENTS), int(zmq.POLLIN)  # plain numbers: enum arithmetic costs on every turn
DONTWAIT, SNDMORE = int(zmq.DONTWAIT), int(zmq.SNDMORE)
MAX_MESSAGE_BYTES = 1 << 12
A_TURN = 64  # messages taken off a socket before everything else has its turn: about 2 ms
MOST = 1 << 62
MOST_NS = 1 << 60  # 36 years


@dataclass(frozen=True)
class OutSpec:
    """A producer's port: where it binds and who is expected."""

    port: str
    endpoint: str
    stream: int
    rate: int
    channels: int
    timeline: str
    history_samples: int
    consumers: dict[str, tuple[str, int]]  # identity -> (policy, queue in frames)
    rates: dict[str, int] = field(default_factory=dict)  # identity -> rate that it wants converted here
    local: str = ""  # where it binds besides, for consumers in the same process


@dataclass(frozen=True)
class InSpec:
    """A consumer's port: whom it listens to and on which terms."""

    identity: str
    endpoint: str
    window: int
    policy: str
    stream: int = 0
    credit_every: int = 1  # frames taken; fewer where the window is small
    terms: Mapping[str, Any] = field(default_factory=dict)  # what a hello carries beside the link's own fields


def unpack(message: bytes) -> dict[str, Any]:
    """The fields of a link message. Raises WireError."""
    return unpack_map(message, "link message", MAX_MESSAGE_BYTES)


def whole(message: Mapping[str, object], key: str, default: int | None = None) -> int:
    """A whole number from 0 below 2**62 in a message: sums with it can still be packed. Raises WireError."""
    value = message.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < MOST:
        raise WireError(
            f"link message {message.get('t')!r} has {key} = {_shown(value)}, expected a whole number below 2**62"
        )
    return value


def moment(message: Mapping[str, object], key: str) -> int:
    """A host time in ns in a message; differences and sums of a few can be packed. Raises WireError."""
    value = message.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not -MOST_NS < value < MOST_NS:
        raise WireError(f"link message {message.get('t')!r} has {key} = {_shown(value)}, expected a time in ns")
    return value


def _shown(value: object) -> str:
    return repr(value)[:40]


def credit_message(stream: int, grant: Grant) -> dict[str, Any]:
    """How far a consumer has taken frames, and how far it may be sent."""
    return {
        "t": "credit",
        "stream": stream,
        "epoch": grant.epoch,
        "delivered": grant.delivered_through,
        "granted": grant.granted_through,
    }


def last_message(instance: int, grant: Grant) -> dict[str, Any]:
    """The bye of a consumer that takes no more, and waits for an answer."""
    return {"t": "bye", "instance": instance, "epoch": grant.epoch, "delivered": grant.delivered_through}
