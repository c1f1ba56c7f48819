"""Sessions of other hosts with what is inside a pipeline: a stream of a connection, and a socket of its own for it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import zmq

from audio_pipeline.gateway.codec import Coding, FrameDecoder, PortEncoder
from audio_pipeline.gateway.policy import Caller
from audio_pipeline.keys import may

MAX_SESSIONS = 64
KEPT = 16  # of them, for keys that may play or control
MAX_OF_A_KEY = 16
SILENT_S = 5.0  # links and feeds send something ten times a second
PATIENT_S = 60.0  # control clients send when they want something
INNER_WAITING = 1_000
FEED = "~feed"  # the port of a node that waits for sound from other hosts


class SessionKind(Enum):
    """What a session is for; the value is how a notice calls it."""

    LISTEN = "listens to"
    FEED = "feeds"
    CONTROL = "controls"


@dataclass(frozen=True)
class Purpose:
    """What a session is for: its kind, the port or node, the least role, where that is inside, and how it is coded."""

    kind: SessionKind
    target: str
    role: str
    endpoint: str
    coding: Coding = Coding.F32  # of the frames outside

    def __str__(self) -> str:
        return f"{self.kind.value} {self.target}".rstrip()


@dataclass(frozen=True)
class Capacity:
    """How many sessions there may be, and how those inside can tell whose they are."""

    sessions: int = MAX_SESSIONS
    kept: int = KEPT  # of them, for users that may play or control
    of_a_user: int = MAX_OF_A_KEY
    users: str = "key"  # what a user is called in a refusal
    where: str = "other hosts"
    prefix: str = "~"  # begins a session's name inside; no node's does


@dataclass
class Session:
    """One stream of a connection from another host, and its own socket to what it asked for."""

    identity: bytes
    stream: int
    user: str  # the public key with which it came; empty without keys
    name: str  # whose that was then
    purpose: Purpose
    inner: zmq.Socket[bytes]
    number: int
    connection: int | None = None  # by which it came
    encoder: PortEncoder | None = None  # shared by the listeners of a port and format
    decoder: FrameDecoder | None = None  # of a feed whose frames the node cannot read
    waiting: bytes | None = None  # what its peer could not be sent yet
    active_s: float = field(default_factory=time.monotonic)

    @property
    def limit_s(self) -> float:
        return PATIENT_S if self.purpose.kind is SessionKind.CONTROL else SILENT_S

    @property
    def label(self) -> str:
        """Whose it is, for a notice."""
        return self.name or "somebody"


class Sessions:
    """All of them, by the identity of the connection and the stream on it."""

    def __init__(self, context: zmq.Context[Any], capacity: Capacity | None = None) -> None:
        self._context, self._capacity = context, capacity or Capacity()
        self._sessions: dict[tuple[bytes, int], Session] = {}
        self._clients = itertools.count()

    @property
    def all(self) -> list[Session]:
        return list(self._sessions.values())

    @property
    def sockets(self) -> Iterator[zmq.Socket[bytes]]:
        """At which something may wait that can be sent on."""
        return (session.inner for session in self._sessions.values() if session.waiting is None)

    @property
    def is_one_full(self) -> bool:
        """Whether there is a peer that reads more slowly than it is sent."""
        return any(session.waiting is not None for session in self._sessions.values())

    def get(self, identity: bytes, stream: int) -> Session | None:
        return self._sessions.get((identity, stream))

    def of(self, identity: bytes) -> list[Session]:
        """Those of one connection."""
        return [session for session in self.all if session.identity == identity]

    def full(self, user: str, role: str) -> str:
        """Why there is no place for one more of a key with this role; empty where there is one."""
        capacity = self._capacity
        mine = sum(session.user == user for session in self.all)
        if user and mine >= capacity.of_a_user:
            return f"this {capacity.users} has {mine} connections already, which is as many as one may have"
        if len(self._sessions) >= capacity.sessions - (0 if may(role, "play") else capacity.kept):
            return f"too many connections from {capacity.where}"
        return ""

    def enter(self, identity: bytes, stream: int, user: str, caller: Caller, purpose: Purpose) -> Session:
        """A new one; ZMQError where the system has no socket for it. Inside it has a name that no node can have."""
        number = self._number(caller, purpose)
        inner: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        for option, value in ((zmq.LINGER, 200), (zmq.SNDHWM, INNER_WAITING), (zmq.RCVHWM, INNER_WAITING)):
            inner.setsockopt(option, value)
        # sound does not wait for a node that is being restarted
        inner.setsockopt(zmq.IMMEDIATE, purpose.kind is not SessionKind.CONTROL)
        inner.setsockopt(zmq.IDENTITY, f"{self._capacity.prefix}{caller.name}~{number}".encode())
        inner.connect(purpose.endpoint)
        session = Session(identity, stream, user, caller.name, purpose, inner, number)
        if purpose.kind is SessionKind.FEED and purpose.coding is Coding.OPUS:
            session.decoder = FrameDecoder()
        self._sessions[identity, stream] = session
        return session

    def _number(self, caller: Caller, purpose: Purpose) -> int:
        """Tells sessions of one name apart. A port knows the next listener by that of the last one; a client is new."""
        if purpose.kind is SessionKind.CONTROL:
            return next(self._clients)
        known = (caller.name, purpose.endpoint)
        taken = {session.number for session in self.all if (session.name, session.purpose.endpoint) == known}
        return next(n for n in range(self._capacity.sessions + 1) if n not in taken)

    def silent(self, now_s: float) -> list[Session]:
        """Those that have sent nothing for too long."""
        return [session for session in self.all if now_s - session.active_s > session.limit_s]

    def drop(self, session: Session) -> None:
        """Closes it; what was sent last still goes out."""
        self._sessions.pop((session.identity, session.stream), None)
        session.inner.close(linger=200)

    def close(self) -> None:
        for session in self.all:
            self.drop(session)
