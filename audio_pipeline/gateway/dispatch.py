"""What each message from another host leads to: an answer, a refusal, a session, or a message inside."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from audio_pipeline.control.codec import VERSION
from audio_pipeline.control.message import fields_of
from audio_pipeline.control.replies import PortsReply
from audio_pipeline.errors import WireError
from audio_pipeline.gateway.bounds import Bounds
from audio_pipeline.gateway.codec import Coding
from audio_pipeline.gateway.peer import Peer
from audio_pipeline.gateway.policy import Access, Callers, Published, published, refusal, role_for
from audio_pipeline.gateway.relay import Relay, Send
from audio_pipeline.gateway.session import FEED, Purpose, Session, SessionKind
from audio_pipeline.gateway.streams import is_frame, stream_in, stream_of
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.links.message_codec import MessageError, from_map, pack
from audio_pipeline.links.messages import Bye, Hello, LinkMessage, Offer, Refused, TimeExchange, Who
from audio_pipeline.packed import dumps

CODINGS = [coding.value for coding in Coding]
CONTROL_STREAM = -1  # the control protocol has none
Message = Mapping[str, object]


class Dispatcher:
    """Takes messages from outside, within `Bounds`; the policy decides, the relay opens and passes on."""

    def __init__(
        self,
        run: RunDir,
        callers: Callers,
        exports: Sequence[str] | None,
        relay: Relay,
        send: Send,
        counts: Counter[str],
    ) -> None:
        self._run, self._callers, self._relay, self._send, self._counts = run, callers, relay, send, counts
        self._sessions = relay.sessions
        named = exports if exports is None else [name if "." in name else f"{name}.out" for name in exports]
        self._exports = named
        self._published = Published()
        self.bounds = Bounds()

    def publish(self, ports: PortsReply) -> None:
        """The pipeline's answer to `ports`."""
        self._published = published(ports, self._exports)

    @property
    def exported(self) -> tuple[str, ...]:
        """The outputs that may be listened to."""
        return self._published.ports

    def may_enter(self, user: str, now_s: float) -> bool:
        """Whether a key may connect once more."""
        return self.bounds.may_enter(user, now_s)

    def take(self, peer: Peer, body: bytes) -> None:
        """One message."""
        now_s = time.monotonic()
        for session in self._sessions.of(peer.identity):
            if session.user == peer.user:
                session.active_s = now_s
            else:
                self._relay.drop(session)
        if not self.bounds.may_send(peer.user, body, now_s):
            self._counts["over_budget"] += 1
            return
        try:
            self._dispatch(peer, body)
        except WireError as error:
            self._counts["bad_messages"] += 1
            if isinstance(error, MessageError) and error.kind in (Hello.KIND, Offer.KIND):
                self._refuse(peer, error.stream, "bad", str(error))

    def _dispatch(self, peer: Peer, body: bytes) -> None:
        if is_frame(body):
            session = self._sessions.get(peer.identity, stream_of(body))
            if session is not None and session.purpose.kind is SessionKind.FEED:
                self._relay.pass_in(session, session.decoder.decode(body) if session.decoder else body)
            return
        message = self.bounds.message(peer.user, body)
        if message is None:
            self._counts["over_budget"] += 1
        elif "op" in message:
            self._on_request(peer, message)
        else:
            self._on_link(peer, from_map(message), body)

    def _on_link(self, peer: Peer, message: LinkMessage, body: bytes) -> None:
        if isinstance(message, TimeExchange):
            now_ns = time.monotonic_ns()
            self._send_link(peer, TimeExchange(t1=message.t1, t2=now_ns, t3=time.monotonic_ns()))
        elif isinstance(message, Hello):
            self._on_hello(peer, message)
        elif isinstance(message, Offer):
            self._on_offer(peer, message)
        elif (session := self._sessions.get(peer.identity, message.stream)) is None:
            self._send_link(peer, Who(stream=message.stream))
        elif isinstance(message, Bye):
            self._relay.leave(session, body)
        else:
            self._relay.pass_in(session, body)

    def _on_hello(self, peer: Peer, hello: Hello) -> None:
        port = hello.port or ""
        if not self._published.is_known:
            return  # it asks again
        if reason := refusal(self._callers.caller(peer.user), Access.LISTEN, port, self._published):
            self._refuse(peer, hello.stream, "denied", reason)
            return
        if (coding := self._coding(peer, hello)) is None:
            return
        endpoint = self._run.endpoint(*port.split("."))
        purpose = Purpose(SessionKind.LISTEN, port, "listen", endpoint, coding)
        # what was played before is not for taps from other hosts
        self._greet(peer, purpose, replace(hello, port=None, format=None, since=None))

    def _on_offer(self, peer: Peer, offer: Offer) -> None:
        if not self._published.is_known:
            return
        caller = self._callers.caller(peer.user)
        if reason := refusal(caller, Access.PLAY, offer.node, self._published):
            self._refuse(peer, offer.stream, "denied", reason)
            return
        if (coding := self._coding(peer, offer)) is None:
            return
        purpose = Purpose(SessionKind.FEED, offer.node, "play", self._run.endpoint(offer.node, FEED), coding)
        self._greet(peer, purpose, replace(offer, format=None, user=caller.name))

    def _coding(self, peer: Peer, greeting: Hello | Offer) -> Coding | None:
        """How the frames of a stream are coded; None, and refused, where nobody here can."""
        wanted = greeting.format or Coding.F32.value
        if wanted in CODINGS:
            return Coding(wanted)
        reason = f"format {wanted!r:.40} is not one of {', '.join(CODINGS)}"
        self._refuse(peer, greeting.stream, "format", reason)
        return None

    def _greet(self, peer: Peer, purpose: Purpose, greeting: Hello | Offer) -> None:
        opened = self._open(peer, greeting.stream, purpose)
        if isinstance(opened, Session):
            self._relay.introduce(opened, greeting)
        else:
            self._refuse(peer, greeting.stream, "full", opened)

    def _on_request(self, peer: Peer, message: Message) -> None:
        op = str(message.get("op"))
        stream = stream_in(message) if "stream" in message else CONTROL_STREAM
        reason = refusal(self._callers.caller(peer.user), Access.OPERATION, op, self._published)
        if message.get("v") != VERSION or "node" in message and role_for(Access.OPERATION, op) != "control":
            reason = f"{op!r} is not for other hosts"
        if reason:
            self._answer(peer, stream, {"id": message.get("id"), "ok": False, "error": reason})
        elif op == "ports":
            result = fields_of(self._published.reply)
            self._answer(peer, stream, {"id": message.get("id"), "ok": True, "result": result})
        else:
            self._pass_request(peer, stream, message)

    def _pass_request(self, peer: Peer, stream: int, message: Message) -> None:
        opened = self._open(peer, stream, Purpose(SessionKind.CONTROL, "", "listen", self._run.control))
        if isinstance(opened, Session):
            self._relay.request(opened, {name: value for name, value in message.items() if name != "stream"})
        else:
            self._answer(peer, stream, {"id": message.get("id"), "ok": False, "error": opened})

    def _open(self, peer: Peer, stream: int, purpose: Purpose) -> Session | str:
        caller = self._callers.caller(peer.user)
        return self._relay.open(peer.identity, stream, peer.user, caller, purpose, peer.connection)

    def _refuse(self, peer: Peer, stream: int, code: str, reason: str) -> None:
        self._send_link(peer, Refused(stream=stream, code=code, why=reason))

    def _answer(self, peer: Peer, stream: int, message: Message) -> None:
        """A reply on its stream, which is left out where it is none or the first."""
        reply = {**message, "stream": stream} if stream > 0 else message
        self._send(peer.identity, dumps(reply, default=fields_of))

    def _send_link(self, peer: Peer, message: LinkMessage) -> None:
        self._send(peer.identity, pack(message))
