"""A connection to another host's gateway, kept up by a thread of its own."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any, Protocol

import zmq

from audio_pipeline import threads
from audio_pipeline.clock_offset import ClockOffset
from audio_pipeline.gateway.curve import DENIED, DOWN, SILENT_MS, UP, Watcher, as_client, explain, harden, parse_address
from audio_pipeline.gateway.notices import Notices
from audio_pipeline.keys import KeyPair, Keys
from audio_pipeline.links.messages import moment
from audio_pipeline.links.waker import Waker
from audio_pipeline.packed import dumps

TURN_MS = 50
RETRY_MS, RETRY_MOST_MS = 200, 2_000
EXCHANGE_S, FIRST_EXCHANGES, FIRST_EXCHANGE_S = 1.0, 8, 0.1
ENOUGH_SILENCE_NS = SILENT_MS * 1_000_000
REFUSED_WAIT_S = 1.0
MAX_UNREAD, MAX_BYTES = 10_000, 1 << 22  # messages that wait here, and how long one may be
CALM_S = 0.005  # after a turn that took all it might: a flood costs no more than a part of a core


@dataclass(frozen=True)
class Remote:
    """Another host as this one knows it. Without keys only for loopback."""

    host: str
    port: int
    name: str = ""  # of its key
    public: str = ""
    own: KeyPair | None = None

    @property
    def endpoint(self) -> str:
        return f"tcp://{self.host}:{self.port}"

    def prepare(self, socket: zmq.Socket[bytes]) -> None:
        """Options before connect."""
        harden(socket)
        socket.setsockopt(zmq.RCVHWM, MAX_UNREAD)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_BYTES)
        socket.setsockopt(zmq.RECONNECT_IVL, RETRY_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, RETRY_MOST_MS)
        if self.own is not None:
            as_client(socket, self.own, self.public)


def find_remote(address: str, name: str, own: str, *, curve: bool = True, keys: Keys | None = None) -> Remote:
    """The host at `address`, whose key is called `name` (or as the host is). Raises KeysError or ConfigError."""
    host, port = parse_address(address)
    if not curve:
        return Remote(host, port)
    held = keys or Keys()
    name = name or host
    return Remote(host, port, name, held.peer(name).public, held.mine(own)[1])


class End(Protocol):
    """What uses the connection: the end of a link, or of a feed."""

    refused: str
    socket: zmq.Socket[bytes]

    @property
    def greeted(self) -> bool:
        """True while the other side has welcomed us."""

    def handle(self) -> bool:
        """Takes a turn's share of what waits; True where there may be more."""

    def send_due(self, now_ns: int) -> None:
        """Sends what is due."""

    def reconnect(self) -> None:
        """A fresh connection."""

    def close(self) -> None:
        """Sends a goodbye, where it can."""


class Peer:
    """Runs an `End` in a thread: connects, connects again, measures the other clock, and notes what is wrong."""

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self.offset = ClockOffset()
        self.reconnects = 0
        self.connected = False
        self.trouble = ""  # one sentence while something is wrong
        self.notices = Notices(20)
        self.context: zmq.Context[Any] = zmq.Context()
        self.waker = Waker()
        self._watcher: Watcher | None = None
        self._stop = threading.Event()
        self._active_ns = self._exchanged_ns = 0
        self._exchanges = 0
        self._was_connected = False
        self._thread: threading.Thread | None = None

    def prepare(self, socket: zmq.Socket[bytes]) -> None:
        """For the end: options, and a monitor, before it connects."""
        self.remote.prepare(socket)
        self._watcher = Watcher(socket)

    def start(self, end: End) -> None:
        """From now on the end belongs to the thread."""
        self._end = end
        self._active_ns = time.monotonic_ns()
        self._thread = threads.start(self._run, "remote", stop=self._stop)

    def on_message(self, message: dict[str, Any]) -> None:
        """A message that is not the end's own: an answer about the clock."""
        if message.get("t") == "time":
            sent, received, answered = (moment(message, key) for key in ("t1", "t2", "t3"))
            self.offset.add(sent, received, answered, time.monotonic_ns())

    def _run(self) -> None:
        while not self._stop.is_set():
            self._turn()
        self._unwatch()
        self._end.close()
        self.context.destroy(linger=0)

    def _unwatch(self) -> None:
        """Before the watched socket is closed: ZeroMQ sends a last event on the monitor, and waits for its reader."""
        if self._watcher is not None:
            self._watcher.close()
        self._watcher = None

    def _turn(self) -> None:
        poller = zmq.Poller()
        poller.register(self._end.socket, zmq.POLLIN)
        poller.register(self.waker.fd, zmq.POLLIN)
        ready = dict(poller.poll(TURN_MS))
        self.waker.clear()
        now_ns = time.monotonic_ns()
        if self._end.socket in ready:
            self._active_ns = now_ns
            if self._end.handle():
                self._stop.wait(CALM_S)
        self._end.send_due(now_ns)
        self._note(now_ns)
        self._exchange(now_ns)

    def _note(self, now_ns: int) -> None:
        """What the monitor reports, and what a silence means."""
        news = self._watcher.news() if self._watcher is not None else []
        for status in news:
            if status == UP:
                self._active_ns = now_ns
            elif status != DOWN or self.connected or not self.trouble:
                remote = self.remote
                self._complain(explain(status, remote.endpoint, remote.name, curve=remote.own is not None))
        if self._end.refused:
            self._complain(f"{self.remote.endpoint} refused: {self._end.refused}")
            self._end.refused = ""
            self._again(REFUSED_WAIT_S)
        elif DENIED in news:
            self._again(REFUSED_WAIT_S)  # ZeroMQ does not try again by itself: the key may be allowed meanwhile
        elif DOWN in news and self.connected:
            self._again(0.0)
        elif now_ns - self._active_ns > ENOUGH_SILENCE_NS:
            if self.connected or not self.trouble:
                self._complain(f"{self.remote.endpoint} {'has fallen silent' if self.connected else 'does not answer'}")
            self._again(0.0)
        elif self._end.greeted and not self.connected:
            self._welcome()

    def _welcome(self) -> None:
        self.reconnects += self._was_connected
        self.connected = self._was_connected = True
        self.trouble = ""
        self._notify(f"connected to {self.remote.endpoint}")

    def _complain(self, sentence: str) -> None:
        self.connected = False
        if sentence != self.trouble:
            self.trouble = sentence
            self._notify(sentence)

    def _notify(self, sentence: str) -> None:
        self.notices.add(sentence, time.monotonic())

    def _again(self, wait_s: float) -> None:
        self.connected = False
        self._stop.wait(wait_s)
        self._unwatch()
        self._end.reconnect()
        self._active_ns = time.monotonic_ns()
        self._exchanges = 0
        self.offset.clear()  # it may be another host, or the same one started anew

    def _exchange(self, now_ns: int) -> None:
        every_s = FIRST_EXCHANGE_S if self._exchanges < FIRST_EXCHANGES else EXCHANGE_S
        if not self.connected or now_ns - self._exchanged_ns < every_s * 1e9:
            return
        self._exchanges += 1
        self._exchanged_ns = now_ns
        try:
            self._end.socket.send(dumps({"t": "time", "t1": time.monotonic_ns()}), flags=zmq.DONTWAIT)
        except zmq.Again:
            pass  # nobody there: the next one

    def close(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self.waker.wake()
        if self._thread is not None:
            self._thread.join(5)
        self.waker.close()
