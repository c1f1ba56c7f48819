"""What the supervisor sends to a node, by `op`: one table, from which both ends build and check it.

Keys are those of the wire; see `docs/protocol.md`. What a node sends is in `control.notices`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audio_pipeline.control.codec import decode, encode
from audio_pipeline.control.message import built, fields_of
from audio_pipeline.errors import ControlError
from audio_pipeline.graph.job import OutJob
from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.settings import setting

MOST_GENERATION = MOST_POSITION = (1 << 62) - 1


@dataclass(frozen=True)
class Nothing:
    """A reply without content."""


@dataclass(frozen=True)
class Position:
    """The output position of the node from which a command holds."""

    position: int | None = None


@dataclass(frozen=True)
class Result:
    """What a source says to a transport command."""

    result: Any = None


@dataclass(frozen=True, kw_only=True)
class Command:
    """`id` is set where the node is to reply, with this number."""

    id: int | None = None


@dataclass(frozen=True)
class OutputTerms:
    """The true sizes at an output, now that every node has stated its latency."""

    queues: dict[str, int]  # by consumer, in frames
    history_samples: int


@dataclass(frozen=True)
class Start(Command):
    """The clock runs."""

    inputs: tuple[LinkPlan, ...]
    outputs: dict[str, OutputTerms]  # by port
    lead_ms: float
    absent: tuple[str, ...]  # nodes of which nothing comes now


@dataclass(frozen=True)
class Set(Command):
    """A live setting; `at` a position or now."""

    name: str
    value: Any
    at: int | None = None


@dataclass(frozen=True)
class Event(Command):
    """An event from outside, for an event input."""

    port: str
    event: dict[str, Any]


@dataclass(frozen=True)
class Transport(Command):
    """A command for a source; `generation` and `playing` where it begins a new generation."""

    command: str
    args: dict[str, Any] = setting(dict)
    generation: int | None = setting(None, minimum=0, maximum=MOST_GENERATION)
    playing: bool = True


@dataclass(frozen=True)
class Cancel(Command):
    """Nothing older of this timeline is used, sent or remembered."""

    timeline: str
    generation: int = setting(minimum=0, maximum=MOST_GENERATION)


@dataclass(frozen=True)
class Absent(Command):
    """Nothing will come from this node, and nobody waits for it to take anything."""

    node: str


@dataclass(frozen=True)
class Present(Command):
    """One that was absent gives and takes again."""

    node: str


@dataclass(frozen=True)
class Connections(Command):
    """How a node is to be connected, whatever it was before."""

    input_settings: dict[str, Any]
    lead_ms: float
    inputs: tuple[LinkPlan, ...]
    outputs: tuple[OutJob, ...]
    absent: tuple[str, ...]


@dataclass(frozen=True)
class Expect(Connections):
    """Whoever is new at an output will say hello soon and is no tap; answered at once."""


@dataclass(frozen=True)
class Rewire(Connections):
    """Answered when links that went are closed and links that came are heard."""


@dataclass(frozen=True)
class Lead(Command):
    """How far a source runs ahead of the clock from now on."""

    lead_ms: float


@dataclass(frozen=True)
class Bind(Command):
    """The files of these ports' sockets were removed: they are bound anew, connections stay."""

    ports: tuple[str, ...]


@dataclass(frozen=True)
class Retire(Command):
    """It was taken out of the graph: finish what is inside, leave the links, end."""


@dataclass(frozen=True)
class Finish(Command):
    """A clean end: sources send END."""


@dataclass(frozen=True)
class Stop(Command):
    """Leave now."""


Answer = Nothing | Position | Result


@dataclass(frozen=True)
class Row:
    """One command, and what the node answers where the command bears an `id`."""

    op: str
    command: type[Command]
    answer: type[Answer] = Nothing


COMMANDS: Mapping[str, Row] = {
    row.op: row
    for row in (
        Row("start", Start),
        Row("set", Set, Position),
        Row("event", Event, Position),
        Row("transport", Transport, Result),
        Row("cancel", Cancel),
        Row("absent", Absent),
        Row("present", Present),
        Row("expect", Expect),
        Row("rewire", Rewire, Position),
        Row("lead", Lead),
        Row("bind", Bind),
        Row("retire", Retire),
        Row("finish", Finish),
        Row("stop", Stop),
    )
}
BY_COMMAND: Mapping[type[Command], Row] = {row.command: row for row in COMMANDS.values()}


def row_of(command: Command) -> Row:
    """The row of a command."""
    return BY_COMMAND[type(command)]


def packed(command: Command) -> bytes:
    """A command as a node's control socket takes it."""
    return encode({"op": row_of(command).op, **fields_of(command)})


def command_in(data: bytes) -> Command:
    """The command in a message. Raises WireError, ControlError."""
    message = decode(data)
    op = message.pop("op", None)
    row = COMMANDS.get(op) if isinstance(op, str) else None
    if row is None:
        raise ControlError(f"unknown command {op!r:.80}")
    return built(row.command, message, row.op)


def answer_in(command: Command, result: Any) -> Answer:
    """A node's answer to a command. Raises ControlError."""
    row = row_of(command)
    return built(row.answer, {} if result is None else result, f"reply to {row.op}")
