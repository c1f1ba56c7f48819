"""Passes messages between sessions of other hosts and what they opened inside; nothing waits here.

Each session has a socket of its own to an output, a node that waits for sound, or the control socket, so links and
credit reach from end to end. Several sessions may share a connection: each message of a link then carries the number
of its stream, in the header of a frame and under `stream` in the others. Inside every link is stream 0.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from typing import Protocol

import zmq

from audio_pipeline.control.codec import VERSION, encode
from audio_pipeline.control.operations import operation_of
from audio_pipeline.control.requests import UnsubscribeRequest
from audio_pipeline.errors import WireError
from audio_pipeline.gateway.codec import PortEncoders
from audio_pipeline.gateway.notices import Notices
from audio_pipeline.gateway.policy import Caller
from audio_pipeline.gateway.router import Sent
from audio_pipeline.gateway.session import Purpose, Session, SessionKind, Sessions
from audio_pipeline.gateway.streams import control_with_stream, is_frame, with_stream
from audio_pipeline.links.message_codec import pack
from audio_pipeline.links.messages import Bye, Hello, Offer
from audio_pipeline.packed import UNPACKABLE, dumps

BYE = pack(Bye())
AN_ANSWER = 16  # messages to each session in a turn
Send = Callable[[bytes, bytes], Sent]


class Places(Protocol):
    """Where connections are kept while they have a session."""

    def claim(self, number: int) -> None:
        """The connection has one."""

    def release(self, number: int) -> None:
        """It has none any more."""

    def end(self, number: int) -> None:
        """Nobody is at its other end."""


def _outward(session: Session, message: bytes) -> bytes:
    """A message from inside as its peer wants it."""
    if session.encoder is not None and is_frame(message):
        message = session.encoder.encode(message)
    if session.stream <= 0:
        return message
    return (control_with_stream if session.purpose.kind is SessionKind.CONTROL else with_stream)(
        message, session.stream
    )


class Relay:
    """The sessions of a gateway. `send(identity, message)` reaches a peer, or says why it does not."""

    def __init__(
        self, sessions: Sessions, send: Send, places: Places, token: str, counts: Counter[str], notices: Notices
    ) -> None:
        self.sessions, self._send, self._places, self._token = sessions, send, places, token
        self._counts, self._notices = counts, notices
        self._encoders = PortEncoders()
        self._turns = 0

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
        session.connection = connection
        if purpose.kind is SessionKind.LISTEN:
            session.encoder = self._encoders.of(purpose.target, purpose.coding)
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

    def introduce(self, session: Session, message: Hello | Offer) -> None:
        """The first message of a link or a feed, with the token that it needs inside."""
        self.pass_in(session, pack(replace(message, token=self._token, stream=0)))

    def request(self, session: Session, message: Mapping[str, object]) -> None:
        """A request, with the token that it needs inside. Raises WireError."""
        try:
            inward = dumps({**message, "token": self._token})
        except UNPACKABLE as error:
            raise WireError(f"a message cannot be passed on: {error}") from error
        self.pass_in(session, inward)

    def pass_all_out(self, ready: Container[object]) -> None:
        """What came from inside, of each session at which something waits; each turn another one is the first."""
        self._turns += 1
        sessions = self.sessions.all
        first = self._turns % len(sessions) if sessions else 0
        for session in (*sessions[first:], *sessions[:first]):
            if session.waiting is not None or session.inner in ready:
                self.pass_out(session)

    def pass_out(self, session: Session) -> None:
        """A turn's share of what came from inside, to the peer.

        Where the peer does not read as fast, frames wait inside, as far as their credit goes, and other sessions go
        on. Replies have no credit, so their session is dropped, as one is whose peer is gone.
        """
        for _ in range(AN_ANSWER):
            message = session.waiting or self._next(session)
            if message is None:
                return
            sent = self._send(session.identity, message)
            session.waiting = message if sent is Sent.FULL else None
            if sent is Sent.GONE or (sent is Sent.FULL and session.purpose.kind is SessionKind.CONTROL):
                self.drop(session)
            if sent is not Sent.DONE:
                return

    def _next(self, session: Session) -> bytes | None:
        try:
            return _outward(session, session.inner.recv(zmq.DONTWAIT))
        except zmq.Again:
            return None

    def expire(self, now_s: float) -> None:
        """Drops sessions that were silent for too long; a connection ends with the last of them."""
        for session in self.sessions.silent(now_s):
            self.drop(session)
            if session.connection is not None and not self.sessions.of(session.identity):
                self._places.end(session.connection)

    def drop(self, session: Session) -> None:
        """Ends a session, and tells what it was with."""
        self.pass_in(session, self._goodbye(session))
        self.forget(session)
        self.notify(f"{session.label} is gone ({session.purpose})")

    def leave(self, session: Session, bye: bytes) -> None:
        """Ends one that has said goodbye itself."""
        self.pass_in(session, self._goodbye(session, bye))
        self.forget(session)

    def _goodbye(self, session: Session, bye: bytes = BYE) -> bytes:
        """What ends a session inside: of control its subscriptions, which nobody takes any more."""
        if session.purpose.kind is not SessionKind.CONTROL:
            return bye
        return encode({"v": VERSION, "token": self._token, "op": operation_of(UnsubscribeRequest()).name})

    def forget(self, session: Session) -> None:
        """Ends one without a word inside; its connection may ask for another for a while."""
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
