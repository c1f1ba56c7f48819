"""Sound into a pipeline on another host: the sender's end, and the place inside the other pipeline where it ends."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import zmq

from audio_pipeline import threads
from audio_pipeline.errors import DeviceError, WireError
from audio_pipeline.frame import Flag, Frame, numbered, pack, parse
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.io.remote_peer import Peer, Remote
from audio_pipeline.io.remote_session import FEED
from audio_pipeline.links.credit import Grant, Item, Subscription
from audio_pipeline.links.waker import Waker
from audio_pipeline.links.words import EVENTS, IMPATIENT_NS, KEEPALIVE_NS, POLLIN, PROTOCOL, unpack, whole

QUEUE_FRAMES = 25
WINDOW_FRAMES = 50
WAITING_FRAMES = 50  # offered and not looked at yet
KEPT_FRAMES = 1_000
SILENT_NS = 3_000_000_000
TURN_MS = 50


class RemoteFeed:
    """Sends frames to a node on another host that waits for them; `offer` may be called from any thread."""

    def __init__(self, remote: Remote, node: str) -> None:
        self.peer = Peer(remote)
        self.counts: Counter[str] = Counter()
        self.offered: deque[Frame] = deque(maxlen=WAITING_FRAMES)
        self._end = _SendingEnd(self, remote, node)
        self.peer.start(self._end)

    def offer(self, frame: Frame) -> None:
        """Sends it, or drops it where nobody takes it in time: what is late is worth nothing."""
        self.counts["offered"] += 1
        self.counts["dropped.waiting"] += len(self.offered) == WAITING_FRAMES
        self.offered.append(frame)
        self.peer.waker.wake()

    @property
    def in_flight(self) -> int:
        return len(self._end.subscription.in_flight)

    @property
    def queued(self) -> int:
        return len(self._end.subscription.queue) + len(self.offered)

    def close(self) -> None:
        self.peer.close()


class _SendingEnd:
    """The producer's end of a link, that connects instead of binding."""

    def __init__(self, feed: RemoteFeed, remote: Remote, node: str) -> None:
        self._feed, self._remote, self._node = feed, remote, node
        self.refused = ""
        self.greeted = False
        self.subscription = Subscription("drop_oldest", QUEUE_FRAMES, self._add)
        self._seq = self._said_ns = self._greeting = 0
        self._instance = (os.getpid() << 20) + time.monotonic_ns() % (1 << 20)
        self.socket = self._connect()

    def _add(self, name: str, amount: int) -> None:
        if name != "offered":
            self._feed.counts[name] += amount

    def _connect(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._feed.peer.context.socket(zmq.DEALER)
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.MAXMSGSIZE, 1 << 16)
        self._feed.peer.prepare(socket)
        socket.connect(self._remote.endpoint)
        return socket

    def reconnect(self) -> None:
        """All that was under way is lost with the old connection."""
        self.socket.close(linger=0)
        self.greeted = False
        self._greeting += 1
        self.subscription.reconnected(0)
        self.socket = self._connect()

    def handle(self) -> None:
        """Takes all waiting words."""
        while int(self.socket.get(EVENTS)) & POLLIN:
            try:
                self._on_word(unpack(self.socket.recv(zmq.DONTWAIT)))
            except WireError:
                self._feed.counts["bad"] += 1

    def _on_word(self, word: dict[str, Any]) -> None:
        kind = word.get("t")
        if kind == "welcome" and not self.greeted:
            self.greeted = True
            self.subscription.reconnected(0)
            through = self._seq - len(self.subscription.queue)
            self.subscription.credit(through, through + whole(word, "window"))
        elif kind == "credit" and self.greeted and word.get("greeting") == self._greeting:
            self.subscription.credit(whole(word, "delivered"), whole(word, "granted"))
        elif kind == "who" and self.greeted:
            self.greeted = False
            self._greeting += 1
        elif kind == "refused":
            self.refused = str(word.get("why"))
        else:
            self._feed.peer.on_word(word)

    def speak(self, now_ns: int) -> None:
        """Sends what credit allows, and says who we are until we are welcome, then that we are there."""
        self._take_offered()
        if self.greeted:
            for item in self.subscription.sendable():
                self._send(item.message)
        if now_ns - self._said_ns >= (KEEPALIVE_NS if self.greeted else IMPATIENT_NS):
            self._said_ns = now_ns
            self._send(msgpack.packb({"t": "alive"} if self.greeted else self._offer()))

    def _offer(self) -> dict[str, Any]:
        return {"t": "offer", "v": PROTOCOL, "node": self._node, "instance": self._instance,
                "greeting": self._greeting}  # fmt: skip

    def _take_offered(self) -> None:
        while self._feed.offered:
            frame = self._feed.offered.popleft()
            if not self.greeted:
                self._feed.counts["dropped.nobody"] += 1
                continue
            self._seq += 1
            offset = self._feed.peer.offset.offset_ns
            captured_ns = frame.captured_ns + offset if frame.captured_ns else 0
            frame = replace(frame, seq=self._seq, epoch=1, captured_ns=captured_ns, sent_age_us=0)
            last = bool(frame.flags & Flag.END)
            self.subscription.offer(Item(self._seq, frame.position, frame.end, frame.generation, pack(frame), last))

    def _send(self, message: bytes) -> None:
        try:
            self.socket.send(message, flags=zmq.DONTWAIT)
        except zmq.Again:
            if message[:1] == b"A":
                self._feed.counts["unsent"] += 1  # in flight to nobody: lost when the connection is found to be

    def close(self) -> None:
        self._send(msgpack.packb({"t": "bye"}))
        self.socket.close(linger=100)


class FeedPort:
    """Where a node takes sound from another host: one sender at a time, the others are told who it is."""

    def __init__(self, endpoint: str, token: str) -> None:
        self._token = token
        self.counts: Counter[str] = Counter()
        self.said: deque[str] = deque(maxlen=20)
        self.user = ""  # who plays
        self._frames: deque[tuple[Frame, int]] = deque(maxlen=KEPT_FRAMES)
        self._sender = b""
        self._instance = -1
        self._greeting = self._heard_ns = self._said_ns = 0
        self._grant = Grant(WINDOW_FRAMES)
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        for option, value in ((zmq.LINGER, 0), (zmq.ROUTER_HANDOVER, 1), (zmq.MAXMSGSIZE, 1 << 20)):
            self._socket.setsockopt(option, value)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise DeviceError(f"cannot wait for sound at {endpoint}: {error.strerror}") from error
        self._waker = Waker()
        self._stop = threading.Event()
        self._thread = threads.start(self._run, "feed", stop=self._stop)

    def take(self) -> tuple[Frame, int] | None:
        """The next frame and when it came."""
        return self._frames.popleft() if self._frames else None

    @property
    def connected(self) -> bool:
        return bool(self._sender)

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._waker.fd, zmq.POLLIN)
        while not self._stop.is_set():
            poller.poll(TURN_MS)
            now_ns = time.monotonic_ns()
            changed = False
            while int(self._socket.get(EVENTS)) & POLLIN:
                sender, *parts = self._socket.recv_multipart(zmq.DONTWAIT)
                changed = self._hear(sender, parts[-1] if parts else b"", now_ns) or changed
            if self._sender and now_ns - self._heard_ns > SILENT_NS:
                self._leave("has fallen silent")
            if self._sender and (changed or now_ns - self._said_ns > KEEPALIVE_NS):
                self._credit(now_ns)
        self._context.destroy(linger=0)

    def _hear(self, sender: bytes, message: bytes, now_ns: int) -> bool:
        try:
            if message[:1] == b"A":
                return self._on_frame(sender, parse(message), now_ns)
            return self._on_word(sender, unpack(message), now_ns)
        except WireError:
            self.counts["bad"] += 1
            return self._pass_over(sender, message)

    def _pass_over(self, sender: bytes, message: bytes) -> bool:
        """A frame that nobody can read took a place in the window all the same."""
        number = numbered(message)
        if number is None or sender != self._sender:
            return False
        self._grant.delivered(number[1])
        return True

    def _on_frame(self, sender: bytes, frame: Frame, now_ns: int) -> bool:
        if sender != self._sender:
            self._reply(sender, {"t": "who"})
            return False
        self._heard_ns = now_ns
        self.counts["received"] += 1
        self._grant.delivered(frame.seq)
        self._frames.append((frame, now_ns))
        return True

    def _on_word(self, sender: bytes, word: dict[str, Any], now_ns: int) -> bool:
        if word.get("t") == "offer":
            self._on_offer(sender, word, now_ns)
        elif sender != self._sender:
            self._reply(sender, {"t": "who"})
        elif word.get("t") == "bye":
            self._leave("is gone")
        else:
            self._heard_ns = now_ns
        return False

    def _on_offer(self, sender: bytes, word: dict[str, Any], now_ns: int) -> None:
        user, instance = str(word.get("user") or "somebody"), whole(word, "instance")
        if word.get("v") != PROTOCOL or str(word.get("token")) != self._token:
            self._reply(sender, {"t": "refused", "why": "wrong protocol version or token"})
            return
        if self._sender not in (b"", sender) and instance != self._instance:
            self._reply(sender, {"t": "refused", "why": f"{self.user!r} plays here already"})
            return
        if self._sender != sender or self._greeting != whole(word, "greeting") or self._instance != instance:
            self._grant = Grant(WINDOW_FRAMES)
            self.said.append(f"{user} plays here now")
        self._sender, self.user, self._instance = sender, user, instance
        self._greeting, self._heard_ns = whole(word, "greeting"), now_ns
        self._reply(sender, {"t": "welcome", "v": PROTOCOL, "window": WINDOW_FRAMES})

    def _credit(self, now_ns: int) -> None:
        self._said_ns = now_ns
        through = self._grant.delivered_through
        if through:
            self._reply(self._sender, {"t": "credit", "greeting": self._greeting, "delivered": through,
                                       "granted": self._grant.granted_through})  # fmt: skip
        else:
            self._reply(self._sender, {"t": "still"})

    def _leave(self, why: str) -> None:
        self.said.append(f"{self.user} {why}")
        self._sender, self.user, self._instance = b"", "", -1

    def _reply(self, sender: bytes, word: dict[str, Any]) -> None:
        self._socket.send_multipart([sender, msgpack.packb(word)], flags=zmq.DONTWAIT)

    def close(self) -> None:
        """Ends the thread; whoever plays notices within seconds."""
        self._stop.set()
        self._waker.wake()
        self._thread.join(5)
        self._waker.close()


def open_feed(run_folder: str, node: str) -> FeedPort:
    """The place where a node of the pipeline with this private folder takes sound from other hosts."""
    run = RunDir(Path(run_folder))
    return FeedPort(run.endpoint(node, FEED), run.token)
