"""What each message from another host leads to: an answer, a refusal, a session, or a message inside."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence

from audio_pipeline.control.codec import VERSION
from audio_pipeline.control.message import fields_of
from audio_pipeline.control.replies import PortsReply
from audio_pipeline.errors import WireError
from audio_pipeline.gateway.bounds import Bounds
from audio_pipeline.gateway.codec import Coding
from audio_pipeline.gateway.peer import Peer
from audio_pipeline.gateway.policy import Access, Published, published, refusal, role_for
from audio_pipeline.gateway.relay import Relay, Send
from audio_pipeline.gateway.roles import Roles
from audio_pipeline.gateway.session import FEED, Purpose, Session, SessionKind
from audio_pipeline.gateway.streams import is_frame, stream_in, stream_of
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.links.messages import moment
from audio_pipeline.packed import dumps

CODINGS = [coding.value for coding in Coding]
CONTROL_STREAM = -1  # the control protocol has none
Message = Mapping[str, object]


class Dispatcher:
    """Takes messages from outside, within `Bounds`; the policy decides, the relay opens and passes on."""

    def __init__(
        self, run: RunDir, roles: Roles, exports: Sequence[str], relay: Relay, send: Send, counts: Counter[str]
    ) -> None:
        self._run, self._roles, self._relay, self._send, self._counts = run, roles, relay, send, counts
        self._sessions = relay.sessions
        self._exports = [name if "." in name else f"{name}.out" for name in exports]
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
        except WireError:
            self._counts["bad_messages"] += 1

    def _dispatch(self, peer: Peer, body: bytes) -> None:
        if is_frame(body):
            session = self._sessions.get(peer.identity, stream_of(body))
            if session is not None and session.purpose.kind is SessionKind.FEED:
                self._relay.pass_in(session, body)
            return
        message = self.bounds.message(peer.user, body)
        if message is None:
            self._counts["over_budget"] += 1
        elif "op" in message:
            self._on_request(peer, message)
        else:
            self._on_link(peer, message, body)

    def _on_link(self, peer: Peer, message: Message, body: bytes) -> None:
        kind, stream = message.get("t"), stream_in(message)
        if kind == "time":
            now_ns = time.monotonic_ns()
            self._reply(peer, {"t": "time", "t1": moment(message, "t1"), "t2": now_ns, "t3": time.monotonic_ns()})
        elif kind == "hello":
            self._on_hello(peer, stream, message)
        elif kind == "offer":
            self._on_offer(peer, stream, message)
        elif (session := self._sessions.get(peer.identity, stream)) is None:
            self._reply(peer, {"t": "who", "stream": stream})
        else:
            self._relay.pass_in(session, body)
            if kind == "bye":
                self._relay.forget(session)

    def _on_hello(self, peer: Peer, stream: int, message: Message) -> None:
        port, wanted = str(message.get("port")), message.get("format", Coding.F32.value)
        if not self._published.is_known:
            return  # it asks again
        reason = refusal(self._roles.caller(peer.user), Access.LISTEN, port, self._published)
        if not reason and wanted not in CODINGS:
            reason = f"format {wanted!r:.40} is not one of {', '.join(CODINGS)}"
        if reason:
            self._refuse(peer, stream, message, reason)
            return
        endpoint = self._run.endpoint(*port.split("."))
        purpose = Purpose(SessionKind.LISTEN, port, "listen", endpoint, Coding(wanted))
        # what was played before is not for taps from other hosts
        self._enter(peer, stream, purpose, {**_without(message, "format"), "since": None})

    def _on_offer(self, peer: Peer, stream: int, message: Message) -> None:
        node = str(message.get("node"))
        if not self._published.is_known:
            return
        caller = self._roles.caller(peer.user)
        if reason := refusal(caller, Access.PLAY, node, self._published):
            self._refuse(peer, stream, message, reason)
            return
        purpose = Purpose(SessionKind.FEED, node, "play", self._run.endpoint(node, FEED))
        self._enter(peer, stream, purpose, {**message, "user": caller.name})

    def _on_request(self, peer: Peer, message: Message) -> None:
        op = str(message.get("op"))
        stream = stream_in(message) if "stream" in message else CONTROL_STREAM
        reason = refusal(self._roles.caller(peer.user), Access.OPERATION, op, self._published)
        if message.get("v") != VERSION or "node" in message and role_for(Access.OPERATION, op) != "control":
            reason = f"{op!r} is not for other hosts"
        if reason:
            self._answer(peer, stream, {"id": message.get("id"), "ok": False, "error": reason})
        elif op == "ports":
            result = fields_of(self._published.reply)
            self._answer(peer, stream, {"id": message.get("id"), "ok": True, "result": result})
        else:
            purpose = Purpose(SessionKind.CONTROL, "", "listen", self._run.control)
            self._enter(peer, stream, purpose, _without(message, "stream"))

    def _enter(self, peer: Peer, stream: int, purpose: Purpose, message: Message) -> None:
        caller = self._roles.caller(peer.user)
        opened = self._relay.open(peer.identity, stream, peer.user, caller, purpose, peer.connection)
        if isinstance(opened, Session):
            self._relay.introduce(opened, message)
        else:
            self._refuse(peer, stream, message, opened)

    def _refuse(self, peer: Peer, stream: int, message: Message, reason: str) -> None:
        """In a form that the end of a link and a control client both read."""
        answer = {"id": message.get("id"), "ok": False, "error": reason} if "op" in message else {}
        self._answer(peer, stream, {"t": "refused", "why": reason, **answer})

    def _answer(self, peer: Peer, stream: int, message: Message) -> None:
        """On its stream, which is left out where it is none or the first."""
        self._reply(peer, {**message, "stream": stream} if stream > 0 else message)

    def _reply(self, peer: Peer, message: Message) -> None:
        self._send(peer.identity, dumps(message, default=fields_of))


def _without(message: Message, key: str) -> Message:
    return {name: value for name, value in message.items() if name != key}
