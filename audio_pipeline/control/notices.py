"""What a node sends to the supervisor, by `op`. Keys are those of the wire; see `docs/protocol.md`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audio_pipeline.control.codec import encode
from audio_pipeline.control.message import built, fields_of
from audio_pipeline.errors import ControlError
from audio_pipeline.packed import UNPACKABLE

ENVELOPE = ("node", "token", "op")


@dataclass(frozen=True)
class Ready:
    """It can start."""

    latency: tuple[int, ...]  # window, lookahead, hop, compute, in samples at the node's rate
    live: tuple[str, ...]  # settings that can be set


@dataclass(frozen=True)
class Failed:
    """Its process ends, and why."""

    error: str = ""
    cause: str = ""  # a class, or `crash`
    exit_code: int | None = None


@dataclass(frozen=True)
class Ended:
    """END was sent and taken."""


@dataclass(frozen=True)
class Resumed:
    """It was sought back after that, and goes on."""


@dataclass(frozen=True)
class Dismissed:
    """It was asked to stop and has let go of everything; others of its process go on."""


@dataclass(frozen=True)
class Event:
    """For whoever watches."""

    event: dict[str, Any]


@dataclass(frozen=True)
class Log:
    """A line."""

    message: Any


@dataclass(frozen=True)
class Snapshot:
    """What a successor needs."""

    state: Any


@dataclass(frozen=True)
class Reply:
    """To a command with an `id`."""

    id: int
    ok: bool = False
    result: Any = None
    error: Any = None


@dataclass(frozen=True)
class Applied:
    """A setting that waited for its position is in force; with `ok` false the node refused it."""

    at: int
    name: str
    value: Any
    ok: bool = True


Notice = Ready | Failed | Ended | Resumed | Dismissed | Event | Log | Snapshot | Reply | Applied
NOTICES: Mapping[str, type[Any]] = {
    "ready": Ready,
    "failed": Failed,
    "ended": Ended,
    "resumed": Resumed,
    "dismissed": Dismissed,
    "event": Event,
    "log": Log,
    "snapshot": Snapshot,
    "reply": Reply,
    "applied": Applied,
}
OPS: Mapping[type[Any], str] = {kind: op for op, kind in NOTICES.items()}


def notice_in(message: Mapping[str, Any]) -> Notice:
    """The notice in a node's message, without its envelope. Raises ControlError."""
    op = message.get("op")
    kind = NOTICES.get(op) if isinstance(op, str) else None
    if kind is None:
        raise ControlError(f"unknown operation {op!r:.80}")
    notice: Notice = built(kind, {key: value for key, value in message.items() if key not in ENVELOPE}, str(op))
    return notice


def packed(notice: Notice, node: str, token: str) -> bytes:
    """A notice as the control socket takes it. One that cannot be packed is replaced by its error."""
    try:
        return encode({"node": node, "token": token, "op": OPS[type(notice)], **fields_of(notice)})
    except UNPACKABLE as error:
        return packed(_instead(notice, error), node, token)


def _instead(notice: Notice, error: Exception) -> Notice:
    if isinstance(notice, Reply):
        return Reply(notice.id, error=f"its answer cannot be sent: {error}")
    op = OPS[type(notice)]
    return Log(f"its {op} cannot be sent, so it is left out: {type(error).__name__} {error}")
