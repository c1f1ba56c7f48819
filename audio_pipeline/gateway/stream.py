"""One of the ports that share a connection to another host: what uses it, and how it fares."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar

from audio_pipeline.clock_offset import ClockOffset
from audio_pipeline.errors import WireError
from audio_pipeline.gateway.notices import Notices
from audio_pipeline.gateway.streams import is_frame, with_stream
from audio_pipeline.links.messages import LinkMessage

GREET_NS, GREET_MOST_NS = 20_000_000, 1_000_000_000  # a greeting is repeated after so long, and then less often
ENOUGH_SILENCE_NS = 3_000_000_000  # a gateway that says nothing for so long is gone
REFUSED_WAIT_NS = 1_000_000_000
NOTICES = 20
Send = Callable[[bytes], bool]


class Line(Protocol):
    """What an end is given: by what it sends, and how far the other host's clock is off."""

    @property
    def offset(self) -> ClockOffset:
        """By the last exchanges."""

    def send(self, message: bytes) -> bool:
        """False where it cannot go out now."""


class End(Protocol):
    """What uses a stream: the end of a link, of a feed, or of a control client."""

    refused: str

    @property
    def greeted(self) -> bool:
        """True while the other side has welcomed us."""

    def on_bytes(self, message: bytes) -> object:
        """A frame."""

    def on_message(self, message: LinkMessage) -> None:
        """Any other message of a link."""

    def on_reply(self, reply: Mapping[str, object]) -> None:
        """A reply or a push of the control protocol."""

    def send_due(self, now_ns: int) -> None:
        """Sends what is due."""

    def reconnect(self) -> None:
        """The connection is a new one: what was under way is lost."""

    def goodbye(self) -> bytes:
        """The last message."""


E_co = TypeVar("E_co", bound=End, covariant=True)


class Stream(Generic[E_co]):
    """An `End` on a shared connection: its `Line`. What is wrong with one stream stays with it.

    A greeting is repeated, at first after 20 ms, later once a second: each costs the key that we came with.
    """

    def __init__(self, number: int, where: str, send: Send, offset: ClockOffset, make: Callable[[Line], E_co]) -> None:
        self.number, self._where, self._out, self._offset = number, where, send, offset
        self.connected = False
        self.trouble = ""  # one sentence while something is wrong
        self.reconnects = 0
        self.bad = 0  # messages that could not be read
        self.notices = Notices(NOTICES)
        self.closed = threading.Event()
        self._was_connected = False
        self._now_ns = self._asked_ns = time.monotonic_ns()
        self._greet_ns, self._pause_ns = 0, GREET_NS
        self._end = make(self)

    @property
    def end(self) -> E_co:
        return self._end

    @property
    def offset(self) -> ClockOffset:
        return self._offset

    def send(self, message: bytes) -> bool:
        """Marked for this stream; False where it cannot go out now, or is a greeting that comes too early."""
        greets = not self._end.greeted and not is_frame(message)
        if greets and self._now_ns < self._greet_ns:
            return False
        if not self._out(self.marked(message)):
            return False
        if greets:
            self._greet_ns = self._now_ns + self._pause_ns
            self._pause_ns = min(2 * self._pause_ns, GREET_MOST_NS)
        return True

    def marked(self, message: bytes) -> bytes:
        """Stream 0 is what a message without one is of."""
        return with_stream(message, self.number) if self.number else message

    def receive(self, message: bytes | LinkMessage | Mapping[str, object]) -> None:
        """One that came for this stream."""
        try:
            if isinstance(message, bytes):
                self._end.on_bytes(message)
            elif isinstance(message, LinkMessage):
                self._end.on_message(message)
            else:
                self._end.on_reply(message)
        except WireError:
            self.bad += 1

    def turn(self, now_ns: int, *, barred: bool = False) -> None:
        """Sends what is due, and notes how it fares; `barred` while something is wrong with the connection itself."""
        self._now_ns = now_ns
        self._end.send_due(now_ns)
        if self._end.refused:
            self._on_refused(now_ns)
        elif self._end.greeted and not barred:
            self._asked_ns, self._pause_ns = now_ns, GREET_NS
            if not self.connected:
                self._welcome()
        elif now_ns - self._asked_ns > ENOUGH_SILENCE_NS:
            if self.connected or not self.trouble:
                self.complain(f"{self._where} does not answer")

    def _on_refused(self, now_ns: int) -> None:
        self.complain(f"{self._where} refused: {self._end.refused}")
        self._end.refused = ""
        self._end.reconnect()
        self._asked_ns = self._greet_ns = now_ns + REFUSED_WAIT_NS

    def _welcome(self) -> None:
        self.reconnects += self._was_connected
        self.connected = self._was_connected = True
        self.trouble = ""
        self._notify(f"connected to {self._where}")

    def on_lost(self) -> None:
        """The connection is gone; on the next one everything begins anew."""
        self.connected = False
        self._end.reconnect()
        self._asked_ns, self._greet_ns, self._pause_ns = time.monotonic_ns(), 0, GREET_NS

    def complain(self, sentence: str) -> None:
        """Something is wrong, in one sentence."""
        self.connected = False
        if sentence != self.trouble:
            self.trouble = sentence
            self._notify(sentence)

    def _notify(self, sentence: str) -> None:
        self.notices.add(sentence, time.monotonic())
