"""What one peer and the inside say to each other, without sockets: messages in, steps out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from audio_pipeline.errors import WireError
from audio_pipeline.frame_codec import HEADER, MAGIC
from audio_pipeline.gateway.budget import Budget
from audio_pipeline.gateway.streams import is_frame, stream_of
from audio_pipeline.links.limits import MAX_MESSAGE_BYTES
from audio_pipeline.links.message_codec import MessageError, pack, pack_json, unpack, unpack_json
from audio_pipeline.links.messages import (
    Alive,
    Audible,
    Bye,
    Credit,
    Hello,
    LinkMessage,
    Offer,
    Refused,
    TimeExchange,
    Welcome,
)

GREET_NS, GREET_MOST_NS = 20_000_000, 160_000_000  # a greeting is repeated after so long, and then less often
GREET_FOR_NS = 5_000_000_000
QUEUE_FRAMES = 12  # at the producer while the peer is slow; older sound is worth nothing
MOST_STREAMS = 64  # greetings and reports that are remembered
BAD_S, BAD = 1.0, 10.0  # messages that cannot be read, and are answered


@dataclass(frozen=True)
class Inward:
    """Passes a message on."""

    message: bytes


@dataclass(frozen=True)
class Answer:
    """Refuses something."""

    refused: Refused


@dataclass(frozen=True)
class End:
    """Closes the connection: a close code of RFC 6455, and why."""

    code: int
    why: str


KINDS = ", ".join(kind.KIND for kind in (Hello, Credit, Offer, Alive, TimeExchange, Bye, Audible))
Step = Inward | Answer | End


@dataclass
class _Greeting:
    """A hello or an offer that nobody has answered yet: the socket inside may not be connected."""

    message: bytes
    since_ns: int
    next_ns: int
    pause_ns: int = GREET_NS


class Conversation:
    """Checks what comes, greets for the peer until it is answered, and keeps what it reports."""

    def __init__(self) -> None:
        self._greetings: dict[int, _Greeting] = {}
        self._feeds: set[int] = set()
        self._bad = Budget(BAD_S, BAD)
        self.audible: dict[int, Audible] = {}  # the newest report, by stream
        self.refused: Counter[str] = Counter()  # by code

    def on_text(self, text: bytes, now_ns: int) -> Step | None:
        """A text message of the peer."""
        if len(text) > MAX_MESSAGE_BYTES:
            return End(1009, f"text of {len(text)} bytes, expected at most {MAX_MESSAGE_BYTES}")
        try:
            message = unpack_json(text.decode())
        except UnicodeDecodeError:
            return End(1007, "text that is not UTF-8")
        except WireError as error:
            return self._on_bad(error.stream if isinstance(error, MessageError) else 0, str(error), now_ns)
        return self._on_message(message, now_ns)

    def _on_message(self, message: LinkMessage, now_ns: int) -> Step | None:
        if isinstance(message, (Hello, Offer)):
            return self._greet(message, now_ns)
        if isinstance(message, Audible):
            self._note(message)
            return None
        if not isinstance(message, (Alive, Bye, Credit, TimeExchange)):
            return self._on_bad(message.stream, f"expected a message of the kinds {KINDS}", now_ns)
        if isinstance(message, Bye):
            self._forget(message.stream)
        return Inward(pack(message))

    def _note(self, report: Audible) -> None:
        if report.stream in self.audible or len(self.audible) < MOST_STREAMS:
            self.audible[report.stream] = report

    def _greet(self, message: Hello | Offer, now_ns: int) -> Step:
        stream = message.stream
        if stream not in self._greetings and len(self._greetings) >= MOST_STREAMS:
            return self._refuse(stream, "full", f"{MOST_STREAMS} streams wait for an answer already")
        if isinstance(message, Hello):
            self._feeds.discard(stream)
            message = replace(message, queue=min(message.queue or QUEUE_FRAMES, QUEUE_FRAMES))
        elif len(self._feeds) < MOST_STREAMS:
            self._feeds.add(stream)
        body = pack(message)
        self._greetings[stream] = _Greeting(body, now_ns, now_ns + GREET_NS)
        return Inward(body)

    def on_binary(self, frame: bytes, now_ns: int) -> Step | None:
        """A binary message of the peer."""
        if not is_frame(frame) or len(frame) < HEADER.size or frame[: len(MAGIC)] != MAGIC:
            return self._on_bad(0, f"binary message of {len(frame)} bytes is no frame", now_ns)
        stream = stream_of(frame)
        if stream not in self._feeds:
            return self._on_bad(stream, f"frame on stream {stream}, on which nothing was offered", now_ns)
        return Inward(frame)

    def _on_bad(self, stream: int, why: str, now_ns: int) -> Step:
        if not self._bad.take(1, now_ns / 1e9):
            return End(1008, "too many messages that cannot be read")
        return self._refuse(stream, "bad", why)

    def _refuse(self, stream: int, code: str, why: str) -> Answer:
        self.refused[code] += 1
        return Answer(Refused(stream=stream, code=code, why=why))

    def _forget(self, stream: int) -> None:
        self._greetings.pop(stream, None)
        self._feeds.discard(stream)
        self.audible.pop(stream, None)

    def outward(self, message: bytes) -> bytes | str:
        """A message from inside as the peer reads it."""
        if is_frame(message):
            return message
        known = unpack(message)
        if isinstance(known, (Welcome, Refused)):
            self._greetings.pop(known.stream, None)
        if isinstance(known, Refused):
            self.refused[known.code or "refused"] += 1
            self._forget(known.stream)
        return pack_json(known).decode()

    @property
    def is_waiting(self) -> bool:
        """Whether a greeting has no answer."""
        return bool(self._greetings)

    def due(self, now_ns: int) -> Iterator[Step]:
        """Greetings that are to be repeated, and refusals of those that nobody answers."""
        for stream, greeting in list(self._greetings.items()):
            if now_ns - greeting.since_ns > GREET_FOR_NS:
                self._forget(stream)
                yield self._refuse(stream, "silent", "the pipeline does not answer")
            elif now_ns >= greeting.next_ns:
                greeting.pause_ns = min(2 * greeting.pause_ns, GREET_MOST_NS)
                greeting.next_ns = now_ns + greeting.pause_ns
                yield Inward(greeting.message)
