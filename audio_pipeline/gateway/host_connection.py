"""One connection to another host's gateway for all ports that this process uses there, kept up by a thread."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TypeVar

from audio_pipeline import threads
from audio_pipeline.clock_offset import ClockOffset
from audio_pipeline.control import codec as control
from audio_pipeline.errors import WireError
from audio_pipeline.gateway.curve import DENIED, DOWN, UP, explain
from audio_pipeline.gateway.remote import Remote
from audio_pipeline.gateway.stream import ENOUGH_SILENCE_NS, REFUSED_WAIT_NS, End, Line, Stream
from audio_pipeline.gateway.streams import is_frame, stream_in, stream_of
from audio_pipeline.gateway.wire import Wire, ZmqWire
from audio_pipeline.links.limits import A_TURN, MAX_MESSAGE_BYTES, MAX_STREAM
from audio_pipeline.links.message_codec import from_map, pack
from audio_pipeline.links.messages import TimeExchange
from audio_pipeline.links.waker import Waker

TURN_MS = 50
EXCHANGE_S, FIRST_EXCHANGES, FIRST_EXCHANGE_S = 1.0, 8, 0.1
CLOSE_S = 5.0
CALM_S = 0.005  # after a turn that took all it might: a flood costs no more than a part of a core
E = TypeVar("E", bound=End)


class HostConnection:
    """Connects, connects again, measures the other clock, and passes messages to the streams that share it.

    `open` and `close` may be called from any thread, `turn` from one. A stream has a number; nothing of one waits for
    another: each has its own credit, and what came for one that is slow is kept by its own end, within bounds.
    """

    def __init__(self, remote: Remote, wire: Wire | None = None) -> None:
        self.remote = remote
        self.offset = ClockOffset()
        self._wire = wire or ZmqWire(remote)
        self._numbers = itertools.count()
        self._streams: dict[int, Stream[End]] = {}
        self._opened: deque[Stream[End]] = deque()
        self._closed: deque[Stream[End]] = deque()
        self._goodbyes: deque[bytes] = deque()
        self._waker, self._stop = Waker(), threading.Event()
        self._trouble = ""
        self._is_up = False
        self._dial_ns: int | None = 0  # when to connect; None while that is done
        self._active_ns = self._exchanged_ns = self._exchanges = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threads.start(self._run, "remote", stop=self._stop)

    def open(self, make: Callable[[Line], E]) -> Stream[E]:
        """A new stream for the end that `make` builds."""
        number = next(self._numbers) & MAX_STREAM
        stream = Stream(number, self.remote.endpoint, self._send, self.offset, make)
        self._opened.append(stream)
        self._waker.wake()
        return stream

    def close(self, stream: Stream[End]) -> None:
        """Says goodbye for a stream; the others go on. Returns when its end is not used any more."""
        self._closed.append(stream)
        self._waker.wake()
        if self._thread is not None:
            stream.closed.wait(CLOSE_S)

    def wake(self) -> None:
        """There is something to send."""
        self._waker.wake()

    def end(self) -> None:
        """Ends the thread and the connection."""
        self._stop.set()
        self._waker.wake()
        if self._thread is not None:
            self._thread.join(CLOSE_S)
        self._waker.close()

    # -- the thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wire.wait(self._waker.fd, self._wait_ms(time.monotonic_ns()))
            self._waker.clear()
            if self.turn(time.monotonic_ns()):
                self._stop.wait(CALM_S)
        self._enter_and_leave()
        self._part()
        self._wire.close()

    def _wait_ms(self, now_ns: int) -> int:
        """Not beyond the next attempt to connect."""
        if self._dial_ns is None:
            return TURN_MS
        return min(max((self._dial_ns - now_ns) // 1_000_000, 0), TURN_MS)

    def turn(self, now_ns: int) -> bool:
        """Takes a turn's share of what waits, and sends what is due; True where more may wait."""
        self._enter_and_leave()
        if self._dial_ns is not None and now_ns >= self._dial_ns:
            self._dial_ns, self._active_ns = None, now_ns
            self._wire.dial()
        more = self._take(now_ns)
        self._note(now_ns)
        for stream in self._streams.values():
            stream.turn(now_ns, barred=bool(self._trouble))
        self._part()
        self._exchange(now_ns)
        return more

    def _enter_and_leave(self) -> None:
        while self._opened:
            stream = self._opened.popleft()
            self._streams[stream.number] = stream
            if self._trouble:
                stream.complain(self._trouble)
        while self._closed:
            stream = self._closed.popleft()
            if self._streams.pop(stream.number, None) is not None:
                stream.end.send_due(time.monotonic_ns())  # what it was given last
                self._goodbyes.append(stream.marked(stream.end.goodbye()))
            stream.closed.set()

    def _part(self) -> None:
        while self._goodbyes and self._send(self._goodbyes[0]):
            self._goodbyes.popleft()

    def _send(self, message: bytes) -> bool:
        return self._wire.send(message)

    def _take(self, now_ns: int) -> bool:
        for _ in range(A_TURN):
            message = self._wire.receive()
            if message is None:
                return False
            self._active_ns = now_ns
            try:
                self._route(message)
            except WireError:
                self._on_bad()
        return True

    def _route(self, message: bytes) -> None:
        """To the stream that it is for; one that was closed meanwhile gets nothing."""
        if is_frame(message):
            if (stream := self._streams.get(stream_of(message))) is not None:
                stream.receive(message)
            return
        fields = control.decode(message)
        if "t" in fields:
            self._on_link_message(fields, len(message))
        elif (stream := self._streams.get(stream_in(fields))) is not None:
            fields.pop("stream", None)
            stream.receive(fields)

    def _on_link_message(self, fields: Mapping[str, object], size: int) -> None:
        if size > MAX_MESSAGE_BYTES:
            raise WireError(f"link message of {size} bytes, expected at most {MAX_MESSAGE_BYTES}")
        message = from_map(fields)
        if isinstance(message, TimeExchange):
            self._on_time(message)
        elif (stream := self._streams.get(message.stream)) is not None:
            stream.receive(message)

    def _on_time(self, answer: TimeExchange) -> None:
        """An answer about the clock."""
        if answer.t2 is None or answer.t3 is None:
            raise WireError("link message time without t2 and t3, expected an answer")
        self.offset.add(answer.t1, answer.t2, answer.t3, time.monotonic_ns())

    def _on_bad(self) -> None:
        """Nobody knows for which stream it was."""
        for stream in self._streams.values():
            stream.bad += 1

    def _note(self, now_ns: int) -> None:
        """What the monitor reports, and what a silence means."""
        news = self._wire.news()
        for status in news:
            if status == UP:
                self._active_ns = now_ns
            elif status != DOWN or self._is_up or not self._trouble:
                remote = self.remote
                self._complain(explain(status, remote.endpoint, remote.name, curve=remote.own is not None))
        if DENIED in news:  # ZeroMQ does not try again by itself: the key may be allowed meanwhile
            self._redial(now_ns + REFUSED_WAIT_NS)
        elif DOWN in news and self._is_up:
            self._redial(now_ns)
        elif self._dial_ns is None and now_ns - self._active_ns > ENOUGH_SILENCE_NS:
            if self._is_up or not self._trouble:
                self._complain(f"{self.remote.endpoint} {'has fallen silent' if self._is_up else 'does not answer'}")
            self._redial(now_ns)
        elif UP in news:
            self._is_up, self._trouble = True, ""

    def _complain(self, sentence: str) -> None:
        self._trouble = sentence
        for stream in self._streams.values():
            stream.complain(sentence)

    def _redial(self, at_ns: int) -> None:
        self._wire.hang_up()
        self._dial_ns, self._is_up, self._exchanges = at_ns, False, 0
        self._goodbyes.clear()
        self.offset.clear()  # it may be another host, or the same one started anew
        for stream in self._streams.values():
            stream.on_lost()

    def _exchange(self, now_ns: int) -> None:
        every_s = FIRST_EXCHANGE_S if self._exchanges < FIRST_EXCHANGES else EXCHANGE_S
        if self._is_up and now_ns - self._exchanged_ns >= every_s * 1e9:
            self._exchanges += 1
            self._exchanged_ns = now_ns
            self._send(pack(TimeExchange(t1=time.monotonic_ns())))
