"""The place inside a pipeline where sound from another host ends: one sender at a time, within its window."""

from __future__ import annotations

import hmac
import threading
import time
from collections import Counter, deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zmq

from audio_pipeline import threads
from audio_pipeline.errors import DeviceError, WireError
from audio_pipeline.frame import Frame
from audio_pipeline.frame_codec import numbered, parse
from audio_pipeline.gateway.frame_bounds import FrameBounds
from audio_pipeline.gateway.notices import Notices
from audio_pipeline.gateway.session import FEED
from audio_pipeline.gateway.totals import Totals
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.links.credit import Grant
from audio_pipeline.links.limits import A_TURN, EVENTS, KEEPALIVE_NS, POLLIN
from audio_pipeline.links.message_codec import MessageError, pack, unpack
from audio_pipeline.links.messages import Bye, Credit, LinkMessage, Offer, Refused, Still, Welcome, Who
from audio_pipeline.links.waker import Waker

if TYPE_CHECKING:
    from audio_pipeline.context import Context

WINDOW_FRAMES = 50
SILENT_NS = 3_000_000_000
TURN_MS = 50
DROPPED = (
    "bad",
    "dropped_again",
    "dropped_beyond",
    "dropped_format",
    "dropped_over_budget",
    "dropped_too_long",
    "dropped_too_many",
)
NOTICES, NOTICES_S, NOTICES_BURST = 20, 1.0, 10.0


class FeedPort:
    """Where a node takes sound from another host: a `FrameSource`. One sender at a time; the others get its name.

    Frames are credited once the node has taken them. Whoever sends beyond the window, longer frames or more sound than
    `FrameBounds` allow, loses that, and `counts` says so.
    """

    def __init__(self, endpoint: str, token: str, *, rate: int = 48_000, channels: int = 2) -> None:
        self._token = token
        self.counts: Counter[str] = Counter()
        self.notices = Notices(NOTICES, rate=NOTICES_S, burst=NOTICES_BURST)
        self._totals = Totals()
        self.user = ""  # who plays
        self._frames: deque[tuple[Frame, int]] = deque(maxlen=WINDOW_FRAMES)
        self._bounds, self._welcome = (
            FrameBounds(rate, channels),
            Welcome(window=WINDOW_FRAMES, rate=rate, channels=channels),
        )
        self._received = 0  # the highest number since the greeting
        self._sender = b""
        self._instance = -1
        self._greeting = self._active_ns = self._sent_ns = 0
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
        """The next frame and when it came; its place in the window is free then."""
        try:
            came = self._frames.popleft()
        except IndexError:  # none came, or another sender took its predecessor's away just now
            return None
        self._waker.wake()
        return came

    @property
    def connected(self) -> bool:
        return bool(self._sender)

    def report(self, ctx: Context) -> None:
        """Notices to a node's log, who is there, and what was dropped."""
        for notice in self.notices.drain():
            ctx.log(notice)
        self._totals.count(ctx, {name: total for name, total in self.counts.copy().items() if name in DROPPED})
        ctx.gauge("connected", float(self.connected))

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._waker.fd, zmq.POLLIN)
        while not self._stop.is_set():
            poller.poll(TURN_MS)
            self._waker.clear()
            self.turn(time.monotonic_ns())
        self._context.destroy(linger=0)

    def turn(self, now_ns: int) -> None:
        """Takes a turn's share of what came, and credits what was taken."""
        for _ in range(A_TURN):
            if not int(self._socket.get(EVENTS)) & POLLIN:
                break
            sender, *parts = self._socket.recv_multipart(zmq.DONTWAIT)
            self.receive(sender, parts[-1] if parts else b"", now_ns)
        if self._sender and now_ns - self._active_ns > SILENT_NS:
            self._leave("has fallen silent", now_ns)
        if self._sender and (self._is_taken() or now_ns - self._sent_ns > KEEPALIVE_NS):
            self._credit(now_ns)

    def receive(self, sender: bytes, message: bytes, now_ns: int) -> None:
        """One message of a sender."""
        try:
            if message[:1] != b"A":
                self._on_message(sender, unpack(message), now_ns)
            elif sender != self._sender:
                self._reply(sender, Who())
            else:
                self._on_frame(message, now_ns)
        except WireError as error:
            self.counts["bad"] += 1
            if isinstance(error, MessageError) and error.kind == Offer.KIND:
                self._reply(sender, Refused(why=str(error)))

    def _on_frame(self, message: bytes, now_ns: int) -> None:
        """One of the sender's; a frame that is dropped took a place in the window all the same."""
        self._active_ns = now_ns
        self.counts["received"] += 1
        number = numbered(message)
        if number is None or not self._is_within(number[1]):
            return
        frame = parse(message)
        if reason := self._bounds.refusal(frame, now_ns / 1e9):
            self.counts[f"dropped_{reason}"] += 1
            return
        self._frames.append((frame, now_ns))

    def _is_within(self, seq: int) -> bool:
        """Whether a frame is a new one and within the window, which is of frames under way: numbers have holes."""
        if seq <= self._received:
            self.counts["dropped_again"] += 1
            return False
        if len(self._frames) >= WINDOW_FRAMES:
            self.counts["dropped_beyond"] += 1
            return False
        self._received = seq
        return True

    def _is_taken(self) -> bool:
        """Credits what the node has taken, with what was dropped before it; True where that is more than before."""
        before = self._grant.delivered_through
        try:
            self._grant.delivered(self._frames[0][0].seq - 1)
        except IndexError:  # none waits, or the last one was taken just now
            self._grant.delivered(self._received)
        return self._grant.delivered_through > before

    def _on_message(self, sender: bytes, message: LinkMessage, now_ns: int) -> None:
        if isinstance(message, Offer):
            self._on_offer(sender, message, now_ns)
        elif sender != self._sender:
            self._reply(sender, Who())
        elif isinstance(message, Bye):
            self._leave("is gone", now_ns)
        else:
            self._active_ns = now_ns

    def _on_offer(self, sender: bytes, offer: Offer, now_ns: int) -> None:
        user, instance = offer.user or "somebody", offer.instance
        if not hmac.compare_digest(offer.token.encode(), self._token.encode()):
            self._reply(sender, Refused(why="wrong token"))
            return
        if self._sender not in (b"", sender) and instance != self._instance:
            self._reply(sender, Refused(code="busy", why=f"{self.user!r} plays here already"))
            return
        if self._instance != instance:
            self._frames.clear()
        if self._sender != sender or self._greeting != offer.greeting or self._instance != instance:
            self._grant, self._received = Grant(WINDOW_FRAMES), 0
            self._notify(f"{user} plays here now", now_ns)
        self._sender, self.user, self._instance = sender, user, instance
        self._greeting, self._active_ns = offer.greeting, now_ns
        self._reply(sender, replace(self._welcome, greeting=offer.greeting))

    def _credit(self, now_ns: int) -> None:
        self._sent_ns = now_ns
        through = self._grant.delivered_through
        if through:
            granted = self._grant.granted_through
            self._reply(self._sender, Credit(greeting=self._greeting, delivered=through, granted=granted))
        else:
            self._reply(self._sender, Still())

    def _leave(self, why: str, now_ns: int) -> None:
        self._notify(f"{self.user} {why}", now_ns)
        self._sender, self.user, self._instance = b"", "", -1

    def _notify(self, sentence: str, now_ns: int) -> None:
        self.notices.add(sentence, now_ns / 1e9)

    def _reply(self, sender: bytes, message: LinkMessage) -> None:
        self._socket.send_multipart([sender, pack(message)], flags=zmq.DONTWAIT)

    def close(self) -> None:
        """Ends the thread; whoever plays notices within seconds."""
        self._stop.set()
        self._waker.wake()
        self._thread.join(5)
        self._waker.close()


def open_feed(run_folder: str, node: str, *, rate: int, channels: int) -> FeedPort:
    """The place where a node of the pipeline with this private folder takes sound from other hosts."""
    run = RunDir(Path(run_folder))
    return FeedPort(run.endpoint(node, FEED), run.token, rate=rate, channels=channels)
