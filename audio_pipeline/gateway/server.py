"""The one place of a pipeline that other hosts can reach: a port that checks keys and roles and passes words on.

Behind it every connection has a socket of its own to what it asked for (an output, a node that waits for sound, the
control socket), so links and credit reach from end to end and nothing waits here.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zmq

from audio_pipeline import threads
from audio_pipeline.control.codec import VERSION, decode, encode
from audio_pipeline.control.operations import needed_role
from audio_pipeline.errors import DeviceError, WireError
from audio_pipeline.gateway.acceptor import Acceptor
from audio_pipeline.gateway.bounds import Bounds, connections_here
from audio_pipeline.gateway.budget import Budget
from audio_pipeline.gateway.connection import number_of, remove_dead
from audio_pipeline.gateway.curve import Gatekeeper, as_server, harden, parse_address
from audio_pipeline.gateway.roles import Roles, own_pair
from audio_pipeline.gateway.session import CONTROLS, FEED, Session, Sessions
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.keys import Keys
from audio_pipeline.links.messages import moment
from audio_pipeline.links.waker import Waker
from audio_pipeline.packed import UNPACKABLE, dumps

TURN_MS = 100
LOOK_S = 1.0  # how often outputs and the address book are looked at
MAX_BYTES = 1 << 20
MAX_WAITING = 100  # messages to one peer that does not read: a second of sound
MAX_UNREAD = 20_000  # messages from one peer; the entrance lets in far fewer, see there why
A_TURN, AN_ANSWER = 64, 16  # messages: from outside altogether, and to each session
CALM_MS = 5  # after a turn that took all it might, so that a flood costs no more than a sixth of a core
SENTENCES_S, SENTENCES = 1.0, 20.0  # for the log
INSIDE = "~gateway"  # begins the name of the socket to which the entrance passes bytes
_numbers = itertools.count()
PORT = re.compile(r"[a-z][a-z0-9_]{0,39}\.[a-z0-9_]{1,40}")


class Gateway:
    """Listens on tcp for one pipeline. `open` binds and raises; all else happens in a thread."""

    def __init__(self, address: str, run: RunDir, exports: Sequence[str], *, keys: Keys | None, own: str = "") -> None:
        self.host, self.port = parse_address(address)
        self._run_dir, self._exports = run, [name if "." in name else f"{name}.out" for name in exports]
        self._roles, self._pair = Roles(keys), own_pair(keys, own, self.host)
        self.counts: Counter[str] = Counter()
        self.said: deque[str] = deque(maxlen=50)
        self._known_ports: dict[str, Any] = {"outputs": [], "feeds": []}
        self._stop = threading.Event()
        self._looked_s = 0.0
        self._bounds = Bounds()
        self._sentences = Budget(SENTENCES_S, SENTENCES)
        self._ways: dict[int, bytes] = {}  # connections that have said something, and what ZeroMQ calls them
        self._numbers: dict[bytes, int] = {}  # the other way round

    def open(self) -> None:
        """Binds. DeviceError where the port is in use or the address is not this host's."""
        self._token = self._run_dir.token  # once: a flood of connections may leave no descriptor to read it with
        self._context: zmq.Context[Any] = zmq.Context()
        self._gate = Gatekeeper(self._context, self._admit, self._is_early) if self._roles.keys else None
        self._router: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        harden(self._router)
        for option, value in (
            (zmq.ROUTER_MANDATORY, 1),
            (zmq.SNDHWM, MAX_WAITING),
            (zmq.RCVHWM, MAX_UNREAD),
            (zmq.MAXMSGSIZE, MAX_BYTES),
        ):
            self._router.setsockopt(option, value)
        if self._pair is not None:
            as_server(self._router, self._pair)
        remove_dead(self._run_dir.path, f"{INSIDE}.")
        inside = self._run_dir.endpoint(INSIDE, f"{os.getpid()}-{next(_numbers)}")
        try:
            self._router.bind(inside)
            self._entrance = Acceptor(self.host, self.port, inside.removeprefix("ipc://"), connections_here())
        except (zmq.ZMQError, OSError) as error:
            self._context.destroy(linger=0)
            raise DeviceError(_bind_error(error, f"{self.host}:{self.port}")) from error
        self.port = self._entrance.port
        self._sessions = Sessions(self._context)
        self._control: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        self._control.setsockopt(zmq.LINGER, 0)
        self._control.connect(self._run_dir.control)
        self._waker = Waker()
        self._entrance.start()
        self._thread = threads.start(self._work, "gateway", stop=self._stop)

    @property
    def connected(self) -> list[str]:
        """Who is there: `laptop: mix.out`."""
        return [f"{session.name or 'somebody'}: {session.what}" for session in self._sessions.all]

    # -- the thread ---------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._stop.is_set():
            self._turn()
        self._sessions.close()
        if self._gate is not None:
            self._gate.close()
        self._context.destroy(linger=0)

    def _turn(self) -> None:
        poller = zmq.Poller()
        poller.register(self._waker.fd, zmq.POLLIN)
        gate = self._gate.socket if self._gate else None
        for socket in (self._router, self._control, gate, *self._sessions.sockets):
            if socket is not None:
                poller.register(socket, zmq.POLLIN)
        ready = dict(poller.poll(TURN_MS))
        if self._gate is not None and gate in ready:
            denied = self._gate.handle()
            self._note_denied(denied)
        if self._control in ready:
            self._note_ports(self._control.recv())
        for session in self._sessions.all:
            if session.inner in ready:
                self._answer(session)
        full = self._router in ready and self._hear()
        self._note_gone()
        self._look(time.monotonic())
        if full:
            self._stop.wait(CALM_MS / 1000)

    def _note_denied(self, public: str | None) -> None:
        if public is not None:
            self.counts["denied"] += 1
            sentence = f"turned away the key {public}, which is not on the allow-list or has no role"
            if sentence not in self.said:
                self._say(sentence)

    def _say(self, sentence: str) -> None:
        """For the log, as often as the log can bear."""
        if self._sentences.take(1, time.monotonic()):
            self.said.append(sentence)
        else:
            self.counts["unsaid"] += 1

    def _note_gone(self) -> None:
        """Connections that ended take their sessions with them."""
        gone = self._entrance.gone
        while gone:
            identity = self._ways.pop(gone.popleft(), None)
            if identity is None:
                continue
            del self._numbers[identity]
            if (session := self._sessions.get(identity)) is not None:
                self._drop(session)

    def _look(self, now_s: float) -> None:
        """Once a second: who is silent, who is allowed, what is there to hear."""
        if now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        if self._roles.unread or self._roles.changed():
            self._reread()
        for session in self._sessions.silent(now_s):
            self._drop(session)
        self.counts.update({name: total - self.counts[name] for name, total in self._entrance.counts.items()})
        word = {"v": VERSION, "token": self._token, "id": 0, "op": "ports"}
        with contextlib.suppress(zmq.Again):  # the supervisor has stood still for long
            self._control.send(encode(word), flags=zmq.DONTWAIT)

    def _reread(self) -> None:
        if said := self._roles.reread():
            self._say(said)
        for session in self._sessions.all:
            if not self._roles.allow(session.user, session.needs):
                self._drop(session)

    def _note_ports(self, message: bytes) -> None:
        try:
            answer = decode(message)
        except WireError:
            return
        if answer.get("ok") and isinstance(answer.get("result"), dict):
            self._known_ports = answer["result"]

    # -- who may what -------------------------------------------------------------------------------

    def _admit(self, public: str) -> bool:
        if self._roles.changed():
            self._reread()
        return self._roles.allow(public, "listen")

    def _is_early(self, public: str) -> bool:
        """Whether a key has come so often that it has to wait."""
        return not self._bounds.may_enter(public, time.monotonic())

    def exported(self) -> list[dict[str, Any]]:
        """Outputs that may be heard: those that were named, or else what people hear at this host."""
        return [
            port
            for port in self._known_ports.get("outputs", [])
            if (port["port"] in self._exports if self._exports else port.get("heard"))
        ]

    # -- from outside -------------------------------------------------------------------------------

    def _hear(self) -> bool:
        """Takes a turn's share of what came, a message of each connection after the other; True where that was all of
        the share."""
        for _ in range(A_TURN):
            try:
                frames = self._router.recv_multipart(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                self._entrance.wake()
                return False
            self._take(frames)
        self._entrance.wake()
        return True

    def _take(self, frames: Sequence[zmq.Frame]) -> None:
        identity, body = frames[0].bytes, frames[-1]
        user = str(body.get("User-Id")) if self._gate is not None else ""
        session = self._sessions.get(identity)
        if session is not None and session.user != user:
            self._drop(session)
            session = None
        self._note_taken(identity, frames)
        now_s = time.monotonic()
        if session is not None:
            session.heard_s = now_s
        if not self._bounds.may_send(user, body.bytes, now_s):
            self.counts["over_budget"] += 1
            return
        try:
            self._on_message(identity, user, session, body.bytes)
        except WireError:
            self.counts["bad_words"] += 1

    def _note_taken(self, identity: bytes, frames: Sequence[zmq.Frame]) -> None:
        """Tells the entrance by which connection a message came."""
        number = self._numbers.get(identity) or number_of(int(frames[-1].get(zmq.SRCFD)))
        if number is not None:
            self._numbers[identity], self._ways[number] = number, identity
            self._entrance.took(number, len(frames) - 1)

    def _on_message(self, identity: bytes, user: str, session: Session | None, body: bytes) -> None:
        if body[:1] == b"A":
            if session is not None and session.what.startswith("feeds "):
                self._pass_in(session, body)
            return
        word = self._bounds.word(user, body)
        if word is None:
            self.counts["over_budget"] += 1
            return
        kind = word.get("t")
        if kind == "time":
            self._reply(
                identity, {"t": "time", "t1": moment(word, "t1"), "t2": time.monotonic_ns(), "t3": time.monotonic_ns()}
            )
        elif "op" in word:
            self._on_request(identity, user, session, word)
        elif kind == "hello":
            self._on_hello(identity, user, session, word)
        elif kind == "offer":
            self._on_offer(identity, user, session, word)
        elif session is None:
            self._reply(identity, {"t": "who"})
        else:
            self._pass_in(session, body)
            if kind == "bye":
                self._forget(session)

    def _on_hello(self, identity: bytes, user: str, session: Session | None, word: dict[str, Any]) -> None:
        port = str(word.get("port"))
        known = [item["port"] for item in self.exported()]
        if not self._known_ports["outputs"]:
            return  # it asks again
        if port not in known or not PORT.fullmatch(port):
            names = ", ".join(known) or "nothing"
            self._reply(identity, {"t": "refused", "why": f"{port!r} is not exported; exported are {names}"})
        elif not self._roles.allow(user, "listen"):
            self._reply(identity, {"t": "refused", "why": f"{self._roles.called(user)!r} may not listen here"})
        else:
            endpoint = self._run_dir.endpoint(*port.split("."))
            word["since"] = None  # what was played before is not for taps from other hosts
            self._enter(identity, user, session, f"hears {port}", "listen", endpoint, word)

    def _on_offer(self, identity: bytes, user: str, session: Session | None, word: dict[str, Any]) -> None:
        node, feeds = str(word.get("node")), self._known_ports["feeds"]
        if not self._known_ports["outputs"]:
            return
        if not self._roles.allow(user, "play"):
            name = self._roles.name(user) or "somebody without a key"
            self._reply(identity, {"t": "refused", "why": f"{name!r} may not play here"})
        elif node not in feeds:
            names = ", ".join(feeds) or "none"
            self._reply(identity, {"t": "refused", "why": f"no node {node!r} waits for sound; those that do: {names}"})
        else:
            word["user"] = self._roles.name(user)
            self._enter(identity, user, session, f"feeds {node}", "play", self._run_dir.endpoint(node, FEED), word)

    def _on_request(self, identity: bytes, user: str, session: Session | None, word: dict[str, Any]) -> None:
        op, number = str(word.get("op")), word.get("id")
        needed = needed_role(op)
        if word.get("v") != VERSION or needed is None or "node" in word and needed != "control":
            self._reply(identity, {"id": number, "ok": False, "error": f"{op!r} is not for other hosts"})
        elif not self._roles.allow(user, needed):
            said = f"{self._roles.called(user)!r} has the role {self._roles.of(user)!r}, which does not allow {op!r}"
            self._reply(identity, {"id": number, "ok": False, "error": said})
        elif op == "ports":
            result = {**self._known_ports, "outputs": self.exported()}
            self._reply(identity, {"id": number, "ok": True, "result": result})
        else:
            self._enter(identity, user, session, CONTROLS, "listen", self._run_dir.control, word)

    def _enter(
        self,
        identity: bytes,
        user: str,
        session: Session | None,
        what: str,
        needs: str,
        endpoint: str,
        word: dict[str, Any],
    ) -> None:
        if session is not None and session.what != what:
            self._drop(session)
            session = None
        if session is None:
            session = self._seat(identity, user, what, needs, endpoint)
            if session is None:
                full = self._sessions.full(user, self._roles.of(user)) or "too many connections from other hosts"
                self._reply(identity, {"t": "refused", "id": word.get("id"), "ok": False, "why": full, "error": full})
                return
            self._say(f"{session.name or 'somebody'} {what}")
        try:
            inward = dumps({**word, "token": self._token})
        except UNPACKABLE as error:
            raise WireError(f"a word cannot be passed on: {error}") from error
        self._pass_in(session, inward)

    def _seat(self, identity: bytes, user: str, what: str, needs: str, endpoint: str) -> Session | None:
        """A place for the connection whose word this is; None where there is none."""
        if self._sessions.full(user, self._roles.of(user)):
            return None
        try:
            session = self._sessions.enter(identity, user, self._roles.name(user), what, needs, endpoint)
        except zmq.ZMQError:  # no descriptor for a socket
            return None
        session.way = self._numbers.get(identity)
        if session.way is not None:
            self._entrance.claim(session.way)
        return session

    # -- to and fro ---------------------------------------------------------------------------------

    def _pass_in(self, session: Session, body: bytes) -> None:
        try:
            session.inner.send(body, flags=zmq.DONTWAIT)
        except zmq.Again:
            self.counts["dropped_in"] += 1  # nobody there inside: a node that is being restarted

    def _answer(self, session: Session) -> None:
        for _ in range(AN_ANSWER):
            try:
                message = session.inner.recv(zmq.DONTWAIT)
            except zmq.Again:
                return
            if not self._send(session.identity, message):
                self._drop(session)
                return

    def _reply(self, identity: bytes, word: dict[str, Any]) -> None:
        self._send(identity, dumps(word))

    def _send(self, identity: bytes, message: bytes) -> bool:
        try:
            self._router.send_multipart([identity, message], flags=zmq.DONTWAIT)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            return False
        return True

    def _drop(self, session: Session) -> None:
        self._pass_in(session, dumps({"t": "bye"}))
        self._forget(session)
        self._say(f"{session.name or 'somebody'} is gone ({session.what})")

    def _forget(self, session: Session) -> None:
        self._sessions.drop(session)
        if session.way is not None and session.way in self._ways:
            self._entrance.release(session.way)

    def close(self) -> None:
        """Ends the thread; who is connected notices within seconds."""
        self._stop.set()
        self._waker.wake()
        self._thread.join(5)
        self._entrance.close()
        self._waker.close()


def open_gateway(address: str, run_folder: str, exports: Sequence[str], *, own: str, curve: bool) -> Gateway:
    """A gateway of the pipeline whose private folder is `run_folder`, open."""
    gateway = Gateway(address, RunDir(Path(run_folder)), exports, keys=Keys() if curve else None, own=own)
    gateway.open()
    return gateway


def _bind_error(error: zmq.ZMQError | OSError, where: str) -> str:
    reason = {
        zmq.EADDRINUSE: "the port is in use",
        zmq.EADDRNOTAVAIL: "this host has no such address",
        errno.ENODEV: "this host has no such address",
    }.get(error.errno or 0, error.strerror)
    return f"cannot listen on {where}: {reason}"
