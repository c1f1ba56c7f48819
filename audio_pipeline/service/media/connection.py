"""One sound connection: its WebSocket, what is said on it, what waits to be sent, and whose it is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from enum import Enum

from audio_pipeline.gateway.peer import Peer
from audio_pipeline.gateway.policy import Caller
from audio_pipeline.gateway.router import Sent
from audio_pipeline.links.message_codec import pack_json
from audio_pipeline.links.messages import LinkMessage
from audio_pipeline.service.media.admission import User
from audio_pipeline.service.media.backend import Backend
from audio_pipeline.service.media.conversation import Answer, Conversation, End, Inward, Step
from audio_pipeline.service.media.handover import Handed
from audio_pipeline.service.media.outbox import Outbox
from audio_pipeline.service.media.websocket import WebSocket

CLOSE_NS = 2_000_000_000  # for the peer to answer a close
UNCLAIMED_NS = 15_000_000_000  # without a stream
STUCK_NS = 5_000_000_000  # a peer that takes nothing
_numbers = itertools.count(1)


class Ending(Enum):
    """How far a connection is on its way out."""

    NOT = 0
    CLOSING = 1
    OVER = 2


class Connection:
    """Belongs to the thread of the media process."""

    def __init__(self, handed: Handed, websocket: WebSocket, user: User, backend: Backend, now_ns: int) -> None:
        self.number = next(_numbers)
        self.handed, self.websocket, self.user, self.backend = handed, websocket, user, backend
        self.caller = Caller(handed.name, handed.role)
        self.peer = Peer(str(self.number).encode(), str(self.number), self.number)
        self.conversation, self.outbox = Conversation(), Outbox()
        self.ending = Ending.NOT
        self.claimed = False  # it has a stream
        self._active_ns = self._moved_ns = now_ns
        self._closing_ns = 0

    def read(self, now_ns: int) -> None:
        """Takes a turn's share of what has come. Raises OSError where the connection is gone."""
        frames, size = self.websocket.frames, self.websocket.bytes_in
        try:
            for is_text, data in self.websocket.receive():
                self._active_ns = now_ns
                said = self.conversation
                self.follow(said.on_text(data, now_ns) if is_text else said.on_binary(data, now_ns))
        finally:
            self.user.spend(self.websocket.frames - frames, self.websocket.bytes_in - size, now_ns / 1e9)

    def follow(self, step: Step | None) -> None:
        """Does what the conversation leads to."""
        if isinstance(step, Inward):
            self.backend.dispatcher.take(self.peer, step.message)
        elif isinstance(step, Answer):
            self.notify(step.refused)
        elif isinstance(step, End):
            self.end(step.code, step.why, self._active_ns)

    def notify(self, message: LinkMessage) -> None:
        """A message of our own; one that finds no place is left out."""
        self.outbox.put(pack_json(message).decode(), self._active_ns)

    def send(self, message: bytes, now_ns: int) -> Sent:
        """A message from inside."""
        if self.ending is not Ending.NOT or not self.websocket.is_open:
            return Sent.GONE
        if self.outbox.is_full:
            return Sent.FULL
        self.outbox.put(self.conversation.outward(message), now_ns)
        return Sent.DONE

    def greet_due(self, now_ns: int) -> None:
        """Repeats greetings that nobody has answered."""
        if self.conversation.is_waiting:
            for step in self.conversation.due(now_ns):
                self.follow(step)

    def flush(self, now_ns: int) -> None:
        """Sends what the peer takes. Raises OSError where it is gone."""
        sent, going = self.websocket.bytes_out, True
        while going:
            self._fill(now_ns)
            going = self.websocket.flush() and self.websocket.is_open and len(self.outbox) > 0
        if self.websocket.bytes_out > sent or not self.is_sending:
            self._moved_ns = now_ns

    def _fill(self, now_ns: int) -> None:
        while self.websocket.has_capacity and (message := self.outbox.take(now_ns)) is not None:
            self.websocket.send(message)

    @property
    def is_sending(self) -> bool:
        """Whether something waits for the peer to take it."""
        return self.websocket.is_sending or (self.websocket.is_open and len(self.outbox) > 0)

    def is_reading(self, now_ns: int) -> bool:
        """Whether it is read now: it sends no faster than it may, and takes what it is sent."""
        return self.websocket.is_reading and self.user.may_send(now_ns / 1e9)

    def end(self, code: int, why: str, now_ns: int) -> None:
        """Begins to close, behind what is on the way; sound that waits is not sent any more."""
        if self.ending is Ending.NOT:
            self.ending, self._closing_ns = Ending.CLOSING, now_ns
            self.websocket.close(code, why)

    def expire(self, now_ns: int) -> None:
        """Notices what time has done to it."""
        if not self.websocket.is_open and self.ending is Ending.NOT:
            self.ending, self._closing_ns = Ending.CLOSING, now_ns
        if self.ending is Ending.CLOSING and now_ns - self._closing_ns > CLOSE_NS:
            self.ending = Ending.OVER
        elif self.ending is Ending.NOT and not self.claimed and now_ns - self._active_ns > UNCLAIMED_NS:
            self.end(1008, "no stream was asked for", now_ns)
        elif self.ending is Ending.NOT and now_ns - self._moved_ns > STUCK_NS:
            self.end(1008, "nothing was taken for 5 s", now_ns)

    def streams(self) -> Iterator[str]:
        """What its streams are for."""
        return (s.purpose.kind.name.lower() for s in self.backend.sessions.of(self.peer.identity))
