"""Who is connected through a gateway, and with what inside."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import zmq

from audio_pipeline.keys import may

MAX_SESSIONS = 64
KEPT = 16  # of them, for keys that may play or control
MAX_OF_A_KEY = 16
SILENT_S = 5.0  # links and feeds speak ten times a second
PATIENT_S = 60.0  # control clients speak when they want something
INNER_WAITING = 1_000
CONTROLS = "controls"
FEED = "~feed"  # the port of a node that waits for sound from other hosts


@dataclass
class Session:
    """One connection from another host and its own socket to what it asked for."""

    identity: bytes
    user: str  # the public key with which it came; empty without keys
    name: str  # whose that was then
    what: str
    needs: str  # role
    inner: zmq.Socket[bytes]
    number: int
    way: int | None = None  # the connection that it came by
    heard_s: float = field(default_factory=time.monotonic)

    @property
    def limit_s(self) -> float:
        return PATIENT_S if self.what == CONTROLS else SILENT_S


class Sessions:
    """All of them, by the identity of the connection."""

    def __init__(self, context: zmq.Context[Any]) -> None:
        self._context = context
        self._sessions: dict[bytes, Session] = {}

    @property
    def all(self) -> list[Session]:
        return list(self._sessions.values())

    @property
    def sockets(self) -> Iterator[zmq.Socket[bytes]]:
        return (session.inner for session in self._sessions.values())

    def get(self, identity: bytes) -> Session | None:
        return self._sessions.get(identity)

    def full(self, user: str, role: str) -> str:
        """Why there is no place for one more of a key with this role; empty where there is one."""
        mine = sum(session.user == user for session in self.all)
        if user and mine >= MAX_OF_A_KEY:
            return f"this key has {mine} connections already, which is as many as one may have"
        if len(self._sessions) >= (MAX_SESSIONS if may(role, "play") else MAX_SESSIONS - KEPT):
            return "too many connections from other hosts"
        return ""

    def enter(self, identity: bytes, user: str, name: str, what: str, needs: str, endpoint: str) -> Session:
        """A new one; ZMQError where the system has no socket for it. Inside it has a name that no node can have."""
        taken = {session.number for session in self.all if (session.name, session.what) == (name, what)}
        number = next(n for n in range(MAX_SESSIONS + 1) if n not in taken)
        inner: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        for option, value in ((zmq.LINGER, 200), (zmq.SNDHWM, INNER_WAITING), (zmq.RCVHWM, INNER_WAITING)):
            inner.setsockopt(option, value)
        inner.setsockopt(zmq.IMMEDIATE, what != CONTROLS)  # sound does not wait for a node that is being restarted
        inner.setsockopt(zmq.IDENTITY, f"~{name}~{number}".encode())
        inner.connect(endpoint)
        session = self._sessions[identity] = Session(identity, user, name, what, needs, inner, number)
        return session

    def silent(self, now_s: float) -> list[Session]:
        """Those that have not been heard for too long."""
        return [session for session in self.all if now_s - session.heard_s > session.limit_s]

    def drop(self, session: Session) -> None:
        """Closes it; what it said last still goes out."""
        self._sessions.pop(session.identity, None)
        session.inner.close(linger=200)

    def close(self) -> None:
        for session in self.all:
            self.drop(session)
