"""A tap on a link: listens to any port of a running graph and disturbs nobody.

The producer keeps a queue of its own for each tap and drops the oldest frames when the tap is slow.
"""

from __future__ import annotations

import math
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any

import zmq

from audio_pipeline.errors import ControlError
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.links.consumer import InPort
from audio_pipeline.links.messages import LinkMessage, TimelineChange, Welcome
from audio_pipeline.links.port_specs import InSpec

WINDOW = 32  # frames under way: a third of a second at 10 ms
POLL_MS = 20


class Tap:
    """Frames of one port, in order. Raises ControlError where the port refuses it.

    `since`: a position; what the producer remembers from there on comes first, marked REPLAY. Lives in one thread.
    """

    def __init__(
        self,
        endpoint: str,
        token: str,
        *,
        name: str = "tap",
        since: int | None = None,
        window: int = WINDOW,
    ) -> None:
        self.counts: Counter[str] = Counter()  # received, delivered, dropped.cancelled, bad
        self.lost = 0  # frames that the producer dropped, by the holes in their numbers
        self.ended = False
        self.received_ns = time.monotonic_ns()  # when anything last came
        self._generation = 0
        self._timeline: str | None = None
        self._coming: TimelineChange | None = None
        self._seq: tuple[int, int] | None = None  # epoch and number of the newest frame
        self._context: zmq.Context[Any] = zmq.Context()
        identity = f"{name}.{os.getpid()}.{secrets.token_hex(4)}"
        spec = InSpec(identity, endpoint, window, "drop_oldest")
        self._port = InPort(self._context, spec, token, secrets.randbits(31), self._count, self._on_other)
        self._port.since = since

    def _count(self, name: str, amount: int) -> None:
        self.counts[name] += amount

    @property
    def welcome(self) -> Welcome | None:
        """How the producer has answered, with its rate, channels, timeline and epoch; None before it did."""
        return self._port.welcome

    @property
    def connected(self) -> bool:
        """True while a producer has welcomed us."""
        return self._port.greeted

    def take(self, timeout_s: float) -> Frame | None:
        """The next frame, None where none came in time; 0 s takes what has arrived. After END `ended` is true."""
        deadline = time.monotonic() + timeout_s
        while True:
            frame = self._next()
            if frame is not None:
                return frame
            left_ms = (deadline - time.monotonic()) * 1000
            if self._port.socket.poll(min(math.ceil(max(left_ms, 0)), POLL_MS)):
                self._port.handle()
            if left_ms <= 0:
                return self._next()

    def _next(self) -> Frame | None:
        """What lies here already, cancelled sound left out."""
        self._port.send_due(time.monotonic_ns())
        if self._port.refused:
            raise ControlError(f"{self._port.spec.endpoint} refused to be listened to: {self._port.refused}")
        while (frame := self._port.take()) is not None:
            self.received_ns = time.monotonic_ns()
            self._note_number(frame)
            self._note_timeline(frame)
            if frame.generation < self._generation:
                self._port.dropped("cancelled")
                continue
            self._generation = frame.generation
            self._port.used()
            self.ended = bool(frame.flags & Flag.END)
            return frame
        return None

    def _on_other(self, message: LinkMessage) -> None:
        if isinstance(message, TimelineChange):
            self._coming = message

    def _note_timeline(self, frame: Frame) -> None:
        """Generations are counted by timeline; frames of the old one may still be under way behind the message."""
        coming, welcome = self._coming, self._port.welcome
        if welcome is None:
            return
        if coming is not None and (frame.epoch, frame.seq) >= (coming.epoch, coming.from_):
            welcome = self._port.welcome = replace(welcome, timeline=coming.timeline)
            self._coming = None
        if welcome.timeline != self._timeline:
            self._timeline, self._generation = welcome.timeline, 0

    def _note_number(self, frame: Frame) -> None:
        """Numbers that are missing are frames that the producer dropped for us."""
        if self._seq is not None and self._seq[0] == frame.epoch:
            self.lost += max(frame.seq - self._seq[1] - 1, 0)
        if self._seq is None or (frame.epoch, frame.seq) > self._seq:
            self._seq = frame.epoch, frame.seq

    def frames(self, go_on: Callable[[], bool] = lambda: True, every_s: float = 0.1) -> Iterator[Frame]:
        """Frames until END, or until `go_on()`, asked every so often, is false."""
        while not self.ended and go_on():
            frame = self.take(every_s)
            if frame is not None:
                yield frame

    def close(self) -> None:
        """Says bye."""
        self._port.close()
        self._context.destroy(linger=50)

    def __enter__(self) -> Tap:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
