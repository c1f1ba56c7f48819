"""Passes messages between sessions of other hosts and what they opened inside; nothing waits here.

Each session has a socket of its own to an output, a node that waits for sound, or the control socket, so links and
credit reach from end to end. Several sessions may share a connection: each message of a link then carries the number
of its stream, in the header of a frame and under `stream` in the others. Inside every link is stream 0.
"""

from __future__ import annotations

import struct
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

import zmq

from audio_pipeline.errors import WireError
from audio_pipeline.frame import MAGIC
from audio_pipeline.gateway.codec import PortEncoders
from audio_pipeline.gateway.notices import Notices
from audio_pipeline.gateway.policy import Caller
from audio_pipeline.gateway.session import Purpose, Session, Sessions
from audio_pipeline.links.messages import unpack
from audio_pipeline.packed import UNPACKABLE, dumps

AN_ANSWER = 16  # messages to each session in a turn
STREAM_AT, STREAM = 28, struct.Struct("<I")  # in the header of a frame
MAX_STREAM = (1 << 32) - 1
Send = Callable[[bytes, bytes], bool]


class Places(Protocol):
    """Where connections are kept while they have a session."""

    def claim(self, number: int) -> None:
        """The connection has one."""

    def release(self, number: int) -> None:
        """It has none any more."""


def stream_of(message: bytes) -> int:
    """The stream of a frame; 0 where it has no whole header."""
    return int(STREAM.unpack_from(message, STREAM_AT)[0]) if len(message) >= STREAM_AT + STREAM.size else 0


def with_stream(message: bytes, stream: int) -> bytes:
    """A message from inside, marked for its stream on a shared connection. Raises WireError."""
    if message[: len(MAGIC)] == MAGIC:
        return message[:STREAM_AT] + STREAM.pack(stream) + message[STREAM_AT + STREAM.size :]
    return dumps({**unpack(message), "stream": stream})


def _outward(session: Session, message: bytes) -> bytes:
    """A message from inside as its peer wants it."""
    if session.encoder is not None and message[: len(MAGIC)] == MAGIC:
        message = session.encoder.encode(message)
    return with_stream(message, session.stream) if session.stream > 0 else message


class Relay:
    """The sessions of a gateway. `send(identity, message)` reaches a peer, False where it cannot."""

    def __init__(
        self, sessions: Sessions, send: Send, places: Places, token: str, counts: Counter[str], notices: Notices
    ) -> None:
        self.sessions, self._send, self._places, self._token = sessions, send, places, token
        self._counts, self._notices = counts, notices
        self._encoders = PortEncoders()

    def open(
        self, identity: bytes, stream: int, user: str, caller: Caller, purpose: Purpose, connection: int | None
    ) -> Session | str:
        """The session of this stream for a purpose, a new one where it had another; or why there is none."""
        session = self.sessions.get(identity, stream)
        if session is not None and session.purpose != purpose:
            self.drop(session)
            session = None
        if session is not None:
            return session
        if reason := self.sessions.full(user, caller.role):
            return reason
        try:
            session = self.sessions.enter(identity, stream, user, caller, purpose)
        except zmq.ZMQError:  # no descriptor for a socket
            return "too many connections from other hosts"
        session.connection, session.encoder = connection, self._encoders.of(purpose.target, purpose.coding)
        if connection is not None:
            self._places.claim(connection)
        self.notify(f"{session.label} {purpose}")
        return session

    def pass_in(self, session: Session, body: bytes) -> None:
        """A message of the peer to what its session is with."""
        try:
            session.inner.send(body, flags=zmq.DONTWAIT)
        except zmq.Again:
            self._counts["dropped_in"] += 1  # nobody there inside: a node that is being restarted

    def introduce(self, session: Session, message: dict[str, Any]) -> None:
        """The first message of a session, or a request, with the token that it needs inside. Raises WireError."""
        inside = {"token": self._token} if "op" in message else {"token": self._token, "stream": 0}
        try:
            inward = dumps({**message, **inside})
        except UNPACKABLE as error:
            raise WireError(f"a message cannot be passed on: {error}") from error
        self.pass_in(session, inward)

    def pass_out(self, session: Session) -> None:
        """What came from inside, to the peer; a peer that cannot be reached loses its session."""
        for _ in range(AN_ANSWER):
            try:
                message = session.inner.recv(zmq.DONTWAIT)
            except zmq.Again:
                return
            if not self._send(session.identity, _outward(session, message)):
                self.drop(session)
                return

    def drop(self, session: Session) -> None:
        """Ends a session, and tells what it was with."""
        self.pass_in(session, dumps({"t": "bye"}))
        self.forget(session)
        self.notify(f"{session.label} is gone ({session.purpose})")

    def forget(self, session: Session) -> None:
        """Ends one that has said goodbye itself; its connection may ask for another for a while."""
        self.sessions.drop(session)
        if session.connection is not None and not self.sessions.of(session.identity):
            self._places.release(session.connection)

    def drop_all(self, identity: bytes) -> None:
        """A connection has ended."""
        for session in self.sessions.of(identity):
            session.connection = None
            self.drop(session)

    def notify(self, sentence: str) -> None:
        """For the log."""
        if not self._notices.add(sentence, time.monotonic()):
            self._counts["unsaid"] += 1
