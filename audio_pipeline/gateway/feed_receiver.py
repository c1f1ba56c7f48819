"""What a place for sound from another host receives: one sender at a time, within its window; without sockets."""

from __future__ import annotations

import hmac
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace

from audio_pipeline.errors import WireError
from audio_pipeline.frame import Frame
from audio_pipeline.frame_codec import numbered, parse
from audio_pipeline.gateway.frame_bounds import FrameBounds
from audio_pipeline.gateway.notices import Notices
from audio_pipeline.links.credit import Grant
from audio_pipeline.links.limits import KEEPALIVE_NS
from audio_pipeline.links.message_codec import MessageError, unpack
from audio_pipeline.links.messages import Bye, Credit, LinkMessage, Offer, Refused, Still, Welcome, Who

WINDOW_FRAMES = 50
SILENT_NS = 3_000_000_000
NOTICES, NOTICES_S, NOTICES_BURST = 20, 1.0, 10.0
Reply = Callable[[bytes, LinkMessage], None]  # to a sender


class FeedReceiver:
    """Frames are credited once the node has taken them.

    Whoever sends beyond the window, longer frames or more sound than `FrameBounds` allow, loses that, and `counts`
    says so. `take` and `waiting` may be called from another thread.
    """

    def __init__(self, token: str, reply: Reply, *, rate: int, channels: int) -> None:
        self._token, self._reply = token, reply
        self.counts: Counter[str] = Counter()
        self.notices = Notices(NOTICES, rate=NOTICES_S, burst=NOTICES_BURST)
        self.user = ""  # who plays
        self._frames: deque[tuple[Frame, int]] = deque(maxlen=WINDOW_FRAMES)
        self._bounds = FrameBounds(rate, channels)
        self._welcome = Welcome(window=WINDOW_FRAMES, rate=rate, channels=channels)
        self._received = 0  # the highest number since the greeting
        self._sender = b""
        self._instance = -1
        self._greeting = self._active_ns = self._sent_ns = 0
        self._grant = Grant(WINDOW_FRAMES)

    def take(self) -> tuple[Frame, int] | None:
        """The next frame and when it came; its place in the window is free then."""
        try:
            return self._frames.popleft()
        except IndexError:  # none came, or another sender took its predecessor's away just now
            return None

    @property
    def waiting(self) -> int:
        """Frames that can be taken."""
        return len(self._frames)

    @property
    def connected(self) -> bool:
        return bool(self._sender)

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
        """Notes what the node has taken, with what was dropped before it; True where that is more than before."""
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

    def turn(self, now_ns: int) -> None:
        """Lets go of a sender that has fallen silent; grants credit to any other, when it is due."""
        if self._sender and now_ns - self._active_ns > SILENT_NS:
            self._leave("has fallen silent", now_ns)
        if self._sender and (self._is_taken() or now_ns - self._sent_ns > KEEPALIVE_NS):
            self._credit(now_ns)

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
