"""Sound into a pipeline on another host: the sender's end."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from dataclasses import replace
from typing import Any

import zmq

from audio_pipeline.errors import WireError
from audio_pipeline.frame import Flag, Frame, pack
from audio_pipeline.gateway.peer import Peer, Remote
from audio_pipeline.links.credit import Item, Subscription
from audio_pipeline.links.messages import A_TURN, EVENTS, IMPATIENT_NS, KEEPALIVE_NS, POLLIN, PROTOCOL, unpack, whole
from audio_pipeline.packed import dumps

QUEUE_FRAMES = 25
WINDOW_FRAMES = 50
WAITING_FRAMES = 50  # offered and not yet taken over
KEPT_FRAMES = 1_000
SILENT_NS = 3_000_000_000
TURN_MS = 50


class RemoteFeed:
    """Sends frames to a node on another host that waits for them; `offer` may be called from any thread."""

    def __init__(self, remote: Remote, node: str) -> None:
        self.peer = Peer(remote)
        self.counts: Counter[str] = Counter()
        self.offered: deque[Frame] = deque(maxlen=WAITING_FRAMES)
        self._end = SendingEnd(self, remote, node)
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


class SendingEnd:
    """The producer's end of a link, that connects instead of binding."""

    def __init__(self, feed: RemoteFeed, remote: Remote, node: str) -> None:
        self._feed, self._remote, self._node = feed, remote, node
        self.refused = ""
        self.greeted = False
        self.subscription = Subscription("drop_oldest", QUEUE_FRAMES, self._add)
        self._seq = self._sent_ns = self._greeting = 0
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

    def handle(self) -> bool:
        """Takes a turn's share of waiting messages; True where there may be more."""
        for _ in range(A_TURN):
            if not int(self.socket.get(EVENTS)) & POLLIN:
                return False
            try:
                self._on_message(unpack(self.socket.recv(zmq.DONTWAIT)))
            except WireError:
                self._feed.counts["bad"] += 1
        return True

    def _on_message(self, message: dict[str, Any]) -> None:
        kind = message.get("t")
        if kind == "welcome" and not self.greeted:
            self.greeted = True
            self.subscription.reconnected(0)
            through = self._seq - len(self.subscription.queue)
            self.subscription.credit(through, through + whole(message, "window"))
        elif kind == "credit" and self.greeted and message.get("greeting") == self._greeting:
            self.subscription.credit(whole(message, "delivered"), whole(message, "granted"))
        elif kind == "who" and self.greeted:
            self.greeted = False
            self._greeting += 1
        elif kind == "refused":
            self.refused = str(message.get("why"))
        else:
            self._feed.peer.on_message(message)

    def send_due(self, now_ns: int) -> None:
        """Sends what credit allows; an offer until it is welcomed, then signs of life."""
        self._take_offered()
        if self.greeted:
            for item in self.subscription.sendable():
                self._send(item.message)
        if now_ns - self._sent_ns >= (KEEPALIVE_NS if self.greeted else IMPATIENT_NS):
            self._sent_ns = now_ns
            self._send(dumps({"t": "alive"} if self.greeted else self._offer()))

    def _offer(self) -> dict[str, Any]:
        return {"t": "offer", "v": PROTOCOL, "node": self._node, "instance": self._instance, "greeting": self._greeting}

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
        self._send(dumps({"t": "bye"}))
        self.socket.close(linger=100)
