"""Sound into a pipeline on another host: the sender's end."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from audio_pipeline.frame import Flag, Frame
from audio_pipeline.frame_codec import pack
from audio_pipeline.gateway.host_pool import RemotePort
from audio_pipeline.gateway.link import new_instance
from audio_pipeline.gateway.remote import Remote
from audio_pipeline.gateway.stream import Line
from audio_pipeline.gateway.totals import Totals
from audio_pipeline.links.credit import Item, Subscription
from audio_pipeline.links.limits import KEEPALIVE_NS, PROTOCOL
from audio_pipeline.links.message_codec import pack as pack_message
from audio_pipeline.links.messages import Alive, Bye, Credit, LinkMessage, Offer, Refused, Welcome, Who

if TYPE_CHECKING:
    from audio_pipeline.context import Context

QUEUE_FRAMES = 25
WINDOW_FRAMES = 50
WAITING_FRAMES = 50  # offered and not yet taken over


class RemoteFeed(RemotePort["SendingEnd"]):
    """A `FrameSink`: sends to a node on another host that waits for sound."""

    def __init__(self, remote: Remote, node: str) -> None:
        super().__init__(remote, lambda line: SendingEnd(line, node))
        self.counts = self.end.counts
        self._sums = Totals()

    def offer(self, frame: Frame) -> None:
        """Sends it, or drops it where nobody takes it in time: what is late is worth nothing. From any thread."""
        self.end.offer(frame)
        self.wake()

    def report(self, ctx: Context) -> None:
        super().report(ctx)
        self._sums.count(ctx, self.counts.copy())
        ctx.gauge("in_flight", self.in_flight)

    @property
    def in_flight(self) -> int:
        return self.end.in_flight

    @property
    def queued(self) -> int:
        return self.end.queued


class SendingEnd:
    """The producer's end of a link, that connects instead of binding."""

    def __init__(self, line: Line, node: str) -> None:
        self._line, self._node = line, node
        self.counts: Counter[str] = Counter()
        self.refused = ""
        self.greeted = False
        self._offered: deque[Frame] = deque(maxlen=WAITING_FRAMES)
        self._subscription = Subscription("drop_oldest", QUEUE_FRAMES, self._add)
        self._seq = self._sent_ns = self._greeting = 0
        self._instance = new_instance()

    def offer(self, frame: Frame) -> None:
        """Keeps it for the connection's thread."""
        self.counts["offered"] += 1
        self.counts["dropped.waiting"] += len(self._offered) == WAITING_FRAMES
        self._offered.append(frame)

    @property
    def in_flight(self) -> int:
        return len(self._subscription.in_flight)

    @property
    def queued(self) -> int:
        return len(self._subscription.queue) + len(self._offered)

    def _add(self, name: str, amount: int) -> None:
        if name != "offered":
            self.counts[name] += amount

    def reconnect(self) -> None:
        """All that was under way is lost with the old connection."""
        self.greeted = False
        self._greeting += 1
        self._subscription.reconnected(0)

    def on_bytes(self, message: bytes) -> None:
        """Nobody sends sound this way."""
        self.counts["bad"] += 1

    def on_reply(self, reply: Mapping[str, object]) -> None:
        """Nobody asked for one."""
        self.counts["bad"] += 1

    def on_message(self, message: LinkMessage) -> None:
        if isinstance(message, Welcome) and not self.greeted:
            self.greeted = True
            self._subscription.reconnected(0)
            through = self._seq - len(self._subscription.queue)
            self._subscription.credit(through, through + (message.window or 0))
        elif isinstance(message, Credit) and self.greeted and message.greeting == self._greeting:
            self._subscription.credit(message.delivered, message.granted)
        elif isinstance(message, Who) and self.greeted:
            self.greeted = False
            self._greeting += 1
        elif isinstance(message, Refused):
            self.refused = message.why

    def send_due(self, now_ns: int) -> None:
        """Sends what credit allows; an offer until it is welcomed, then signs of life."""
        self._take_offered()
        if self.greeted:
            for item in self._subscription.sendable():
                self.counts["unsent"] += not self._line.send(item.message)  # lost, once the connection is found to be
        if not self.greeted:
            self._line.send(pack_message(self._offer()))
        elif now_ns - self._sent_ns >= KEEPALIVE_NS and self._line.send(pack_message(Alive())):
            self._sent_ns = now_ns

    def _offer(self) -> Offer:
        return Offer(v=PROTOCOL, node=self._node, instance=self._instance, greeting=self._greeting)

    def _take_offered(self) -> None:
        offset_ns = self._line.offset.offset_ns
        while self._offered:
            frame = self._offered.popleft()
            if not self.greeted:
                self.counts["dropped.nobody"] += 1
                continue
            self._seq += 1
            captured_ns = frame.captured_ns + offset_ns if frame.captured_ns else 0
            frame = replace(frame, seq=self._seq, epoch=1, captured_ns=captured_ns, sent_age_us=0)
            last = bool(frame.flags & Flag.END)
            self._subscription.offer(Item(self._seq, frame.position, frame.end, frame.generation, pack(frame), last))

    def goodbye(self) -> bytes:
        return pack_message(Bye())
