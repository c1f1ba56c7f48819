"""The consumer's end of a link, whatever carries its messages: takes a stream, and grants credit."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from audio_pipeline.errors import WireError
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.frame_codec import numbered, parse
from audio_pipeline.links.credit import Count, Grant
from audio_pipeline.links.limits import IMPATIENT_NS, KEEPALIVE_NS, PROTOCOL
from audio_pipeline.links.message_codec import unpack
from audio_pipeline.links.messages import Bye, Credit, Hello, LinkMessage, Refused, Welcome, Who
from audio_pipeline.links.port_specs import InSpec

_END = int(Flag.END)


class Receiver:
    """Greets whoever is at the other end, takes frames, and grants credit. `_send` is what a subclass adds."""

    def __init__(
        self,
        spec: InSpec,
        token: str,
        instance: int,
        count: Count,
        on_other: Callable[[LinkMessage], None] = lambda message: None,
    ) -> None:
        """`on_other` gets messages that are not the link's own."""
        self.spec = spec
        self._token = token
        self._instance = instance
        self._count = count
        self.grant = Grant(spec.window)
        self.queue: deque[Frame] = deque()
        self.since: int | None = None
        self.refused = ""
        self.left = False  # taken away, and the producer knows
        self._leaving = False
        self.welcome: Welcome | None = None  # how the producer has answered
        self._on_other = on_other
        self._sent_ns = 0
        self._greeted = False
        self._greeting = 0  # counts connections: what was under way on an older one is lost
        self._received = 0  # highest seq of this epoch
        self._changed = True
        self._uncredited = 0  # frames taken since the last word of credit

    def _send(self, message: LinkMessage) -> bool:
        """Sends a message; False where it cannot go out now."""
        raise NotImplementedError

    def _on_unsent(self, now_ns: int) -> None:
        """A greeting or credit did not go out; it is tried again."""

    def ungreet(self) -> None:
        """Whoever is there now has to be greeted; all that the old connection held is lost."""
        self._greeted, self._changed = False, True
        self._greeting += 1

    @property
    def greeted(self) -> bool:
        """True while a producer has welcomed us."""
        return self._greeted

    def on_bytes(self, message: bytes) -> bool:
        """Takes one message; True for a frame."""
        try:
            if message[:1] == b"A":
                self._on_frame(parse(message))
                return True
            self.on_message(unpack(message))
        except WireError:
            self._count("bad", 1)
            self._pass_over(message)
        return False

    def _pass_over(self, message: bytes) -> None:
        """A frame that nobody can read took a place in the window all the same; a window of them is no dead link.

        It is credited in its turn, with the last one before it that is taken.
        """
        number = numbered(message)
        if number is None or self._leaving or not self._greeted or number[0] != self.grant.epoch:
            return
        self._received = max(self._received, number[1])
        self._count("received", 1)
        self.dropped("bad")
        if not self.queue:
            self.grant.delivered(self._received)
            self._changed = True

    def _on_frame(self, frame: Frame) -> None:
        if self._leaving:
            return
        if not self._greeted:  # for our predecessor of the same name, or counted as lost once we are heard
            return
        if frame.epoch > self.grant.epoch:  # a lower one is the last frame of a producer that died
            self._new_epoch(frame.epoch)
        if frame.epoch == self.grant.epoch:
            self._received = max(self._received, frame.seq)
        self._count("received", 1)
        self.queue.append(frame)

    def on_message(self, message: LinkMessage) -> None:
        """One that is no frame, unpacked."""
        if isinstance(message, Welcome):
            self._on_welcome(message)
        elif isinstance(message, Who):
            if self._greeted:
                self.ungreet()
        elif isinstance(message, Refused):
            self.refused = message.why
        elif isinstance(message, Bye):
            self.left = True
        else:
            self._on_other(message)

    def _on_welcome(self, welcome: Welcome) -> None:
        if welcome.greeting not in (None, self._greeting):
            return  # the answer to an older greeting
        self.welcome = welcome
        self._greeted = True
        if welcome.epoch != self.grant.epoch:
            self._new_epoch(welcome.epoch)

    def _new_epoch(self, epoch: int) -> None:
        self.grant.new_epoch(epoch)
        self._received = 0

    def take(self) -> Frame | None:
        """The next frame, which thereby counts as delivered; the caller says `used` or `dropped`."""
        if not self.queue:
            return None
        frame = self.queue.popleft()
        if not self.queue:  # all that came is taken, also what could not be read
            self.grant.delivered(self._received)
        elif frame.epoch == self.grant.epoch:
            self.grant.delivered(frame.seq)
        self._uncredited += 1
        if frame.flags & _END or self._uncredited >= min(self.spec.credit_every, self.grant.window - 2):
            self._changed = True  # what stays free of the window holds the producer's largest burst at any time
        return frame

    def used(self) -> None:
        self._count("delivered", 1)

    def dropped(self, reason: str) -> None:
        self._count(f"dropped.{reason}", 1)

    def send_due(self, now_ns: int) -> None:
        """Sends a hello or credit, when something changed or it is time."""
        quiet_ns = now_ns - self._sent_ns
        if self._leaving:
            return
        if quiet_ns < self._interval_ns() and not (self._changed and self._greeted):
            return
        if not self._send(self._credit() if self._greeted else self._hello()):
            self._on_unsent(now_ns)
            return
        self._sent_ns = now_ns
        self._changed, self._uncredited = False, 0

    def _interval_ns(self) -> int:
        """How often something is sent where nothing has changed."""
        return KEEPALIVE_NS if self._greeted else IMPATIENT_NS

    def _hello(self) -> Hello:
        return Hello(
            v=PROTOCOL,
            token=self._token,
            stream=self.spec.stream,
            instance=self._instance,
            since=self.since,
            window=self.grant.window,
            policy=self.spec.policy,
            greeting=self._greeting,
            epoch=self.grant.epoch,
            received=self._received,
            queue=self.spec.queue,
            port=self.spec.port,
            format=self.spec.format,
        )

    def _credit(self) -> Credit:
        grant = self.grant
        return Credit(
            stream=self.spec.stream,
            epoch=grant.epoch,
            delivered=grant.delivered_through,
            granted=grant.granted_through,
        )

    def leave(self) -> None:
        """Takes no more; `left` is set when the producer has answered. What lies here goes."""
        self._leaving = True
        while self.take() is not None:
            self.dropped("unlinked")
        self._bye(Bye(instance=self._instance, epoch=self.grant.epoch, delivered=self.grant.delivered_through))

    def _bye(self, message: Bye) -> None:
        if not self._send(message):
            self.left = True  # nobody there to hear it
