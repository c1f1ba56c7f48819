"""What the users of a served model and its host exchange: a map as msgpack, and the frames or the answer behind it.

A user joins with the token of the service and gets a place; whatever it sends afterwards names that place. Nothing in
a message decides how much the host computes: shapes, windows and rates follow from the model and the place.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from audio_pipeline.errors import ConfigError, WireError
from audio_pipeline.packed import dumps, unpack_map
from audio_pipeline.settings import build, setting

MOST_BYTES = 1 << 12
MOST_FRAME = 1 << 40  # 800 years
MOST_NS = 1 << 62


@dataclass(frozen=True)
class Join:
    """A stream wants a place. `hop` 0: the host's choice, `prefer` if that fits; else this hop or none."""

    token: str
    stream: str
    mode: str
    hop: int = setting(0, "frames between windows", minimum=0, maximum=64)
    prefer: int = setting(0, "of a predecessor", minimum=0, maximum=64)
    pid: int = 0
    started: float = 0.0
    here: str = ""  # boot and PID namespace of the process


@dataclass(frozen=True)
class Joined:
    """The place, for as long as its user sends something within the lease, and what may be promised there."""

    place: str
    hop: int
    compute_s: float
    fastest_s: float
    engine: str
    lease_s: float


@dataclass(frozen=True)
class Refused:
    """No place; `reason` says why."""

    reason: str


@dataclass(frozen=True)
class Frames:
    """New frames from number `first` on, and the window [start, start + length) that an answer is wanted for."""

    place: str
    sequence: int = setting(0, "", minimum=0, maximum=MOST_FRAME)
    first: int = setting(0, "", minimum=0, maximum=MOST_FRAME)
    start: int = setting(0, "", minimum=-MOST_FRAME, maximum=MOST_FRAME)
    length: int = setting(1, "", minimum=1, maximum=1 << 10)
    wanted: int = setting(0, "first frame of the window that is answered", minimum=0, maximum=1 << 10)
    due_ns: int = setting(0, "of use until then; 0: always", minimum=0, maximum=MOST_NS)


@dataclass(frozen=True)
class Answer:
    """The masks or spectra (stems, wanted, bins, channels) for a window lie behind it."""

    sequence: int


@dataclass(frozen=True)
class Failed:
    """No answer for a window; the next may come after `wait_s`."""

    sequence: int
    reason: str
    wait_s: float = 0.0


@dataclass(frozen=True)
class Reset:
    """A new stream in the same place."""

    place: str


@dataclass(frozen=True)
class Alive:
    """From a user: it is there. From the host: so is the host."""

    place: str


@dataclass(frozen=True)
class Leave:
    """The place is free."""

    place: str


@dataclass(frozen=True)
class Lost:
    """There is no such place any more."""

    place: str


Message = Join | Joined | Refused | Frames | Answer | Failed | Reset | Alive | Leave | Lost
KINDS: dict[str, type[Message]] = {
    kind.__name__.lower(): kind for kind in (Join, Joined, Refused, Frames, Answer, Failed, Reset, Alive, Leave, Lost)
}


def pack(message: Message) -> bytes:
    """A message as msgpack."""
    return dumps({"t": type(message).__name__.lower(), **asdict(message)})


def unpack(data: bytes) -> Message:
    """The message in some bytes. Raises WireError.

    >>> unpack(pack(Alive("a place")))
    Alive(place='a place')
    """
    found: dict[str, Any] = unpack_map(data, "message to a model", MOST_BYTES)
    kind = found.pop("t", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise WireError(f"message to a model of kind {str(kind)[:40]!r}, expected one of {', '.join(KINDS)}")
    try:
        return build(KINDS[kind], found)
    except (ConfigError, TypeError) as error:
        raise WireError(f"message {kind!r} to a model: {str(error)[:200]}") from error
