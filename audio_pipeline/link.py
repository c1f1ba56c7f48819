"""Links over ZeroMQ: the producer's port binds one ROUTER, each consumer's port connects a DEALER.

High-water marks bound nothing that matters here (a stalled reader at HWM 1 still swallows seconds of
audio in kernel buffers), so the only flow control is the credit of `credit.py`.
"""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgpack
import zmq

from audio_pipeline.credit import LOSSLESS, Count, Grant, Item, Subscription
from audio_pipeline.errors import WireError
from audio_pipeline.frame import Flag, Frame, flagged, pack, parse

PROTOCOL = 1
KEEPALIVE_NS = 100_000_000
IMPATIENT_NS = 20_000_000  # while the producer has not welcomed us
STALLING = ("block", LOSSLESS)
MAX_GUESTS = 64
GUEST_FRAMES = 100
EVENTS, POLLIN = int(zmq.EVENTS), int(zmq.POLLIN)  # plain numbers: enum arithmetic costs on every turn
MAX_WORD_BYTES = 1 << 12


@dataclass(frozen=True)
class OutSpec:
    """A producer's port: where it binds and who is expected."""

    port: str
    endpoint: str
    stream: int
    rate: int
    channels: int
    timeline: str
    history_samples: int
    consumers: dict[str, tuple[str, int]]  # identity -> (policy, queue in frames)


@dataclass(frozen=True)
class InSpec:
    """A consumer's port: whom it listens to and on which terms."""

    port: str
    identity: str
    endpoint: str
    stream: int
    window: int
    policy: str
    queue: int


class OutPort:
    """Sends frames to any number of consumers, each with its own queue, window and ledger."""

    def __init__(
        self,
        context: zmq.Context[Any],
        spec: OutSpec,
        token: str,
        epoch: int,
        counter: Callable[[str], Count],
    ) -> None:
        self.spec = spec
        self.epoch = epoch
        self._token = token
        self._counter = counter
        self.socket = context.socket(zmq.ROUTER)
        for option, value in ((zmq.ROUTER_MANDATORY, 1), (zmq.ROUTER_HANDOVER, 1), (zmq.LINGER, 0),
                              (zmq.SNDHWM, 0), (zmq.RCVHWM, 10_000), (zmq.MAXMSGSIZE, 1 << 16)):  # fmt: skip
            self.socket.setsockopt(option, value)
        self.socket.bind(spec.endpoint)
        self.subscriptions = {
            name: Subscription(policy, queue, counter(name)) for name, (policy, queue) in spec.consumers.items()
        }
        self.connected: dict[str, int] = {}  # identity -> instance of the consumer
        self.seq = 0
        self._history: deque[Item] = deque()
        self._history_samples = spec.history_samples

    def offer(self, frame: Frame) -> None:
        """Numbers, packs and queues one frame for everybody, then sends what credit allows."""
        if not self.subscriptions and not self._history_samples:
            return
        self.seq += 1
        last = bool(frame.flags & Flag.END)
        item = Item(self.seq, frame.position, frame.end, frame.generation, pack(frame), last)
        for name, subscription in list(self.subscriptions.items()):
            subscription.offer(item)
            if name in self.connected:
                self._send(name, subscription)
        if frame.samples or last or frame.event is not None:  # a paused source says for weeks that it is idle
            self._remember(item)

    def adopt(self, queues: Mapping[str, int], history_samples: int) -> None:
        """Sizes as planned from what the nodes really do."""
        self._history_samples = history_samples
        for name, frames in queues.items():
            self.subscriptions[name].queue_frames = max(frames, 1)

    def dismiss(self, node: str) -> None:
        """The graph's consumers in `node` will never come (it is optional and could not be opened)."""
        for name in self.spec.consumers:
            if name.partition(".")[0] == node:
                self.subscriptions[name].dismiss()

    @property
    def wanted(self) -> bool:
        """True while anybody listens."""
        return bool(self.subscriptions)

    def _remember(self, item: Item) -> None:
        if self._history_samples <= 0:
            return
        self._history.append(item)
        while item.position - self._history[0].position > self._history_samples:
            self._history.popleft()

    def _send(self, name: str, subscription: Subscription) -> None:
        identity = name.encode()
        for item in subscription.sendable():
            try:
                self.socket.send_multipart([identity, item.message], flags=zmq.DONTWAIT, copy=True)
            except zmq.ZMQError as error:
                if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                    raise
                self._gone(name)
                return

    def _gone(self, name: str) -> None:
        """The graph's own consumers keep their queue until they come back; guests are forgotten."""
        self.connected.pop(name, None)
        if name not in self.spec.consumers:
            self.subscriptions.pop(name, None)

    def handle(self) -> None:
        """Takes all waiting words of consumers."""
        while int(self.socket.get(EVENTS)) & POLLIN:
            parts = self.socket.recv_multipart(zmq.DONTWAIT)
            try:
                self._on_word(parts[0].decode(), _unpack(parts[-1]))
            except (WireError, UnicodeDecodeError):
                self._counter("")("bad_words", 1)

    def _on_word(self, name: str, word: dict[str, Any]) -> None:
        if word.get("t") == "hello":
            self._on_hello(name, word)
        elif word.get("t") == "bye":
            self._gone(name)
        elif name not in self.connected:
            self._reply(name, {"t": "who"})
        elif word.get("t") == "credit" and word.get("epoch") == self.epoch:
            subscription = self.subscriptions[name]
            subscription.credit(_whole(word, "delivered"), _whole(word, "granted"))
            self._send(name, subscription)

    def _on_hello(self, name: str, word: dict[str, Any]) -> None:
        refusal = self._refusal(name, word)
        if refusal:
            self._reply(name, {"t": "refused", "why": refusal})
            return
        instance, window = _whole(word, "instance"), _whole(word, "window")
        subscription = self.subscriptions.get(name) or self._guest(name)
        if self.connected.get(name) != instance:
            self._welcome_back(subscription, word)
        self.connected[name] = instance
        spec = self.spec
        self._reply(name, {"t": "welcome", "v": PROTOCOL, "epoch": self.epoch, "stream": spec.stream,
                           "rate": spec.rate, "channels": spec.channels, "timeline": spec.timeline})  # fmt: skip
        subscription.credit(subscription.delivered_through, subscription.delivered_through + window)
        self._send(name, subscription)

    def _guest(self, name: str) -> Subscription:
        guest = Subscription("drop_oldest", GUEST_FRAMES, self._counter(name), most_window=GUEST_FRAMES)
        self.subscriptions[name] = guest
        return guest

    def _refusal(self, name: str, word: dict[str, Any]) -> str:
        if word.get("v") != PROTOCOL:
            return f"protocol version {word.get('v')!r}, expected {PROTOCOL}"
        if not hmac.compare_digest(str(word.get("token", "")).encode(), self._token.encode()):
            return "wrong token"
        if name not in self.subscriptions and self._is_full():
            return f"more than {MAX_GUESTS} guests"
        return ""

    def _is_full(self) -> bool:
        """True while as many guests as may are really there: one that broke off is found by a word to it."""
        for name in [name for name in self.connected if name not in self.spec.consumers]:
            self._reply(name, {"t": "still"})
        return len(self.subscriptions.keys() - self.spec.consumers) >= MAX_GUESTS

    def _welcome_back(self, subscription: Subscription, word: dict[str, Any]) -> None:
        """A consumer without memory: what was in flight is lost; history goes first if it asks for the past."""
        since = word.get("since")
        unsent = subscription.queue[0].seq if subscription.queue else self.seq + 1
        replay = [
            replace(item, message=flagged(item.message, Flag.REPLAY)) for item in self._history
            if isinstance(since, int) and (item.end > since or item.position >= since) and item.seq < unsent
        ]  # fmt: skip
        subscription.restart((replay[0].seq if replay else unsent) - 1, replay)

    def _reply(self, name: str, word: dict[str, Any]) -> None:
        try:
            self.socket.send_multipart([name.encode(), msgpack.packb(word)], flags=zmq.DONTWAIT)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            self._gone(name)

    def cancel(self, generation: int) -> None:
        """Forgets queued and remembered frames of older generations."""
        for subscription in self.subscriptions.values():
            subscription.cancel(generation)
        self._history = deque(item for item in self._history if item.generation >= generation)

    @property
    def room(self) -> bool:
        """True while every consumer that may stall us has room."""
        return all(sub.room for sub in self.subscriptions.values() if sub.policy in STALLING)

    @property
    def drained(self) -> bool:
        """True when every lossless consumer has taken everything."""
        return all(sub.drained for sub in self.subscriptions.values() if sub.policy in STALLING)

    def close(self) -> None:
        if self.spec.endpoint.startswith("inproc:"):
            self.socket.unbind(self.spec.endpoint)  # at once: a successor may bind before ZeroMQ has closed this
        self.socket.close(linger=0)


class InPort:
    """Receives one stream, grants credit, and says who it is to whoever comes up behind the endpoint."""

    def __init__(self, context: zmq.Context[Any], spec: InSpec, token: str, instance: int, count: Count) -> None:
        self.spec = spec
        self._token = token
        self._instance = instance
        self._count = count
        self.grant = Grant(spec.window)
        self.queue: deque[Frame] = deque()
        self.since: int | None = None
        self.refused = ""
        self.welcome: dict[str, Any] = {}
        self._said_ns = 0
        self._greeted = False
        self._changed = True
        self._context = context
        self.socket = self._connect()

    def _connect(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        for option, value in ((zmq.LINGER, 0), (zmq.IMMEDIATE, 1), (zmq.SNDHWM, 10), (zmq.RCVHWM, 0),
                              (zmq.RECONNECT_IVL, 5), (zmq.RECONNECT_IVL_MAX, 20),
                              (zmq.MAXMSGSIZE, 1 << 26)):  # fmt: skip
            socket.setsockopt(option, value)
        socket.setsockopt(zmq.IDENTITY, self.spec.identity.encode())
        socket.connect(self.spec.endpoint)
        return socket

    def reconnect(self) -> None:
        """For inproc, which does not find a new producer behind an old endpoint by itself."""
        self.socket.close(linger=0)
        self.socket = self._connect()
        self._greeted = False

    def handle(self) -> None:
        """Takes all waiting messages into the local queue."""
        while int(self.socket.get(EVENTS)) & POLLIN:
            message = self.socket.recv(zmq.DONTWAIT)
            try:
                if message[:1] == b"A":
                    self._on_frame(parse(message))
                else:
                    self._on_word(_unpack(message))
            except WireError:
                self._count("bad", 1)

    def _on_frame(self, frame: Frame) -> None:
        if not self.welcome:  # sent to our predecessor of the same name, and coming again if we asked for it
            return
        if frame.epoch > self.grant.epoch:  # a lower one is the last word of a producer that died
            self.grant.new_epoch(frame.epoch)
        self._count("received", 1)
        self.queue.append(frame)

    def _on_word(self, word: dict[str, Any]) -> None:
        if word.get("t") == "welcome":
            self.welcome = word
            self._greeted = True
            if word.get("epoch") != self.grant.epoch:
                self.grant.new_epoch(_whole(word, "epoch"))
        elif word.get("t") == "who":
            self._greeted = False
            self._changed = True
        elif word.get("t") == "refused":
            self.refused = str(word.get("why"))

    def take(self) -> Frame | None:
        """The next frame, which thereby counts as delivered; the caller says `used` or `dropped`."""
        if not self.queue:
            return None
        frame = self.queue.popleft()
        if frame.epoch == self.grant.epoch:
            self.grant.delivered(frame.seq)
        self._changed = True
        return frame

    def used(self) -> None:
        self._count("delivered", 1)

    def dropped(self, reason: str) -> None:
        self._count(f"dropped.{reason}", 1)

    def speak(self, now_ns: int) -> None:
        """Says hello or grants credit, when something changed or it is time."""
        quiet_ns = now_ns - self._said_ns
        if quiet_ns < (KEEPALIVE_NS if self._greeted else IMPATIENT_NS) and not (self._changed and self._greeted):
            return
        word = self._credit() if self._greeted else self._hello()
        try:
            self.socket.send(msgpack.packb(word), flags=zmq.DONTWAIT)
        except zmq.Again:
            self._greeted = False  # nobody there: greet whoever comes
        self._said_ns = now_ns
        self._changed = False

    def _hello(self) -> dict[str, Any]:
        return {"t": "hello", "v": PROTOCOL, "token": self._token, "stream": self.spec.stream,
                "instance": self._instance, "since": self.since, "window": self.grant.window,
                "policy": self.spec.policy}  # fmt: skip

    def _credit(self) -> dict[str, Any]:
        grant = self.grant
        return {"t": "credit", "stream": self.spec.stream, "epoch": grant.epoch,
                "delivered": grant.delivered_through, "granted": grant.granted_through}  # fmt: skip

    def close(self) -> None:
        try:
            self.socket.send(msgpack.packb({"t": "bye"}), flags=zmq.DONTWAIT)
        except zmq.ZMQError:
            pass  # nobody there to hear it
        self.socket.close(linger=0)


def _unpack(message: bytes) -> dict[str, Any]:
    if len(message) > MAX_WORD_BYTES:
        raise WireError(f"link word of {len(message)} bytes, expected at most {MAX_WORD_BYTES}")
    try:
        word = msgpack.unpackb(message)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise WireError(f"link word is not msgpack: {error}") from error
    if not isinstance(word, dict):
        raise WireError(f"link word is a {type(word).__name__}, expected a map")
    return word


def _whole(word: dict[str, Any], key: str) -> int:
    value = word.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise WireError(f"link word {word.get('t')!r} has {key} = {value!r}, expected a whole number")
    return value
