"""The producer's end of a link: one ROUTER that sends frames to any number of consumers."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import zmq

from audio_pipeline.errors import WireError
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.frame_codec import pack_as
from audio_pipeline.links.convert import Converted
from audio_pipeline.links.credit import Count, Item, Subscription
from audio_pipeline.links.history import History, replayed
from audio_pipeline.links.limits import A_TURN, DONTWAIT, EVENTS, MAX_TAPS, POLLIN, SNDMORE, TAP_FRAMES
from audio_pipeline.links.message_codec import MessageError, pack, unpack
from audio_pipeline.links.messages import Bye, Credit, Hello, LinkMessage, Refused, Still, TimelineChange, Welcome, Who
from audio_pipeline.links.port_specs import OutSpec
from audio_pipeline.links.sockets import bound_router
from audio_pipeline.links.subscribers import Subscribers

FIRST_PART, LAST_PART = SNDMORE | DONTWAIT, DONTWAIT


class OutPort(Subscribers):
    """Sends frames to any number of consumers, each with its own queue, window and ledger."""

    def __init__(
        self,
        context: zmq.Context[Any],
        spec: OutSpec,
        token: str,
        epoch: int,
        counter: Callable[[str], Count],
    ) -> None:
        super().__init__(spec, counter)
        self.epoch = epoch
        self._token = token
        self.socket = bound_router(context, {spec.endpoint, spec.local} - {""})
        self.seq = 0
        self._history = History()
        self._history_samples = spec.history_samples
        self._converted = {name: Converted(rate) for name, rate in spec.rates.items()}

    def offer(self, frame: Frame, sent_age_us: int = 0) -> None:
        """Numbers, packs and queues one frame for everybody, then sends what credit allows."""
        if not self.subscriptions and not self._history_samples:
            return
        self.seq += 1
        self.stirred = True
        last = bool(frame.flags & Flag.END)
        message = pack_as(frame, self.seq, self.epoch, sent_age_us)
        item = Item(self.seq, frame.position, frame.end, frame.generation, message, last)
        for name, subscription in tuple(self.subscriptions.items()):
            mine = self._converted_for(name, frame, item, sent_age_us) if self._converted else item
            subscription.end = mine if last else None
            if name in self.connected and subscription.straight(mine):  # counted: it may arrive though we are killed
                self._put(name, mine.message)
                continue
            subscription.offer(mine)
            if name in self.connected:
                self._send(name, subscription)
                self._probe(name, subscription)
        if frame.samples or last or frame.event is not None:  # a paused source says for weeks that it is idle
            self._history.note(item, self._history_samples)

    def _probe(self, name: str, subscription: Subscription) -> None:
        """One that is not planned any more and takes nothing may have died before its bye: a message to it shows it."""
        if subscription.queue and not subscription.tap and name not in self.spec.consumers:
            self._reply(name, Still())

    def _converted_for(self, name: str, frame: Frame, item: Item, sent_age_us: int) -> Item:
        """The item as this consumer can take it."""
        converted, remembered = self._converted.get(name), self._history_samples
        if converted is None:
            return item
        return converted.item(frame, item, remembered, epoch=self.epoch, sent_age_us=sent_age_us)

    def adopt(self, queues: Mapping[str, int], history_samples: int) -> None:
        """Sizes as planned from what the nodes really do."""
        self._history_samples = history_samples
        for name, frames in queues.items():
            if name in self.subscriptions:
                self.subscriptions[name].queue_frames = max(frames, 1)

    def rewire(self, consumers: Mapping[str, tuple[str, int]], rates: Mapping[str, int], history_samples: int) -> None:
        """Who is expected from now on; whoever is not any more gets frames until it says bye."""
        self._history_samples, self.stirred = history_samples, True
        before, self.spec = self.spec.consumers, replace(self.spec, consumers=dict(consumers))
        self._converted = {name: self._converted.get(name) or Converted(rate) for name, rate in rates.items()}
        for name, (policy, frames) in consumers.items():
            self._expect(name, policy, frames)
        for name in before:
            if name not in self.connected:
                self._gone(name)

    def _send(self, name: str, subscription: Subscription) -> None:
        for item in subscription.sendable():
            if not self._put(name, item.message):
                return

    def _put(self, name: str, message: bytes) -> bool:
        """Sends a message; False where the consumer has gone."""
        try:
            self.socket.send(name.encode(), FIRST_PART)
            self.socket.send(message, LAST_PART)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            self._gone(name)
            return False
        return True

    def handle(self) -> None:
        """Takes waiting messages, a turn's share: a consumer that sends more must not keep the node from its sound."""
        for _ in range(A_TURN):
            if not int(self.socket.get(EVENTS)) & POLLIN:
                return
            self.stirred = True
            parts = self.socket.recv_multipart(DONTWAIT)
            try:
                self.on_bytes(parts[0].decode(), parts[-1])
            except (WireError, UnicodeDecodeError):
                self._counter("")("bad_messages", 1)

    def on_bytes(self, name: str, data: bytes) -> None:
        """One message of a consumer. Raises WireError; whoever greets so that it cannot be read is told why."""
        try:
            message = unpack(data)
        except MessageError as error:
            if error.kind == Hello.KIND:
                self._reply(name, Refused(why=str(error)))
            raise
        self._on_message(name, message)

    def _on_message(self, name: str, message: LinkMessage) -> None:
        if isinstance(message, Hello):
            self._on_hello(name, message)
        elif isinstance(message, Bye):
            self._on_bye(name, message)
        elif name not in self.connected:
            self._reply(name, Who())
        elif isinstance(message, Credit) and message.epoch == self.epoch:
            subscription = self.subscriptions[name]
            subscription.credit(message.delivered, message.granted)
            self._send(name, subscription)

    def _on_hello(self, name: str, hello: Hello) -> None:
        refusal = self._refusal(name, hello)
        if refusal:
            self._reply(name, Refused(why=refusal))
            return
        queue = TAP_FRAMES if hello.queue is None else hello.queue
        subscription = self.subscriptions.get(name) or self._tap(name, queue)
        known = self.connected.get(name, (None, 0))
        if known[0] != hello.instance:
            self._restart(name, subscription, hello.since)
        elif known[1] != hello.greeting:  # a new connection: what the old one held never arrives
            subscription.reconnected(hello.received if hello.epoch == self.epoch else 0)
        self.connected[name] = hello.instance, hello.greeting
        spec = self.spec
        self._reply(
            name,
            Welcome(
                epoch=self.epoch,
                stream=spec.stream,
                rate=spec.rate,
                channels=spec.channels,
                timeline=spec.timeline,
                greeting=hello.greeting,
            ),
        )
        subscription.credit(subscription.delivered_through, subscription.delivered_through + hello.window)
        self._send(name, subscription)

    def _on_bye(self, name: str, bye: Bye) -> None:
        """One that says how far it has taken frames takes no more, and waits for an answer."""
        subscription, known = self.subscriptions.get(name), self.connected.get(name, (None, 0))[0]
        if subscription is None or bye.instance not in (None, known):
            return
        if bye.delivered is not None:
            if bye.epoch == self.epoch:
                subscription.credit(bye.delivered, 0)
            subscription.left = True
            self._reply(name, Bye())
        self._gone(name)

    def _refusal(self, name: str, hello: Hello) -> str:
        if not hmac.compare_digest(hello.token.encode(), self._token.encode()):
            return "wrong token"
        if name not in self.subscriptions and self._is_full():
            return f"more than {MAX_TAPS} taps"
        return ""

    def _is_full(self) -> bool:
        """True while as many taps as may are really there: one that broke off is found by a message to it."""
        for name in [name for name in self.connected if name not in self.spec.consumers]:
            self._reply(name, Still())
        return len(self.subscriptions.keys() - self.spec.consumers) >= MAX_TAPS

    def _restart(self, name: str, subscription: Subscription, since: int | None) -> None:
        """A consumer without memory: what was in flight is lost; history goes first if it asks for the past."""
        history = self._converted[name].history if name in self._converted else self._history
        unsent = subscription.queue[0].seq if subscription.queue else self.seq + 1
        replay = history.since(since, unsent) if since is not None else []
        end = subscription.end  # of use to whoever comes back, however long ago it was
        if end is not None and end.seq < unsent and not (replay and replay[-1].seq == end.seq):
            replay.append(replayed(end))
        subscription.restart((replay[0].seq if replay else unsent) - 1, replay)

    def _reply(self, name: str, message: LinkMessage) -> None:
        self._put(name, pack(message))

    def cancel(self, generation: int) -> None:
        """Forgets queued and remembered frames of older generations."""
        self.stirred = True
        for subscription in self.subscriptions.values():
            subscription.cancel(generation)
        self._history.cancel(generation)
        for converted in self._converted.values():
            converted.cancel(generation)

    def enter_timeline(self, timeline: str) -> None:
        """Positions from the next frame on are of another timeline: what is remembered is of no use to anybody."""
        self.spec = replace(self.spec, timeline=timeline)
        self._history.clear()
        for converted in self._converted.values():
            converted.history.clear()
        for name, subscription in list(self.subscriptions.items()):
            if subscription.tap and name in self.connected:  # the graph's own consumers are told by the supervisor
                self._reply(name, TimelineChange(timeline=timeline, epoch=self.epoch, from_=self.seq + 1))

    def bind_again(self) -> None:
        """Its socket's file is gone: who connects from now on must find it. Connections that there are stay."""
        if self.spec.endpoint.startswith("ipc:"):
            self.socket.bind(self.spec.endpoint)  # a second time: an unbind would remove the new file, later

    def close(self) -> None:
        for endpoint in {self.spec.endpoint, self.spec.local}:
            if endpoint.startswith("inproc:"):
                self.socket.unbind(endpoint)  # at once: a successor may bind before ZeroMQ has closed this
        self.socket.close(linger=0)
