"""The one place of a pipeline that other hosts can reach: a port behind which keys are checked and messages relayed.

What a message leads to is decided in `dispatch`, who may have what in `policy`; sessions are in the `relay`.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import zmq

from audio_pipeline import threads
from audio_pipeline.control.codec import VERSION, decode, encode
from audio_pipeline.errors import DeviceError, WireError
from audio_pipeline.gateway.acceptor import Acceptor
from audio_pipeline.gateway.bounds import connections_here
from audio_pipeline.gateway.connection import number_of, remove_dead
from audio_pipeline.gateway.curve import Gatekeeper, as_server, harden, parse_address
from audio_pipeline.gateway.dispatch import Dispatcher, Peer
from audio_pipeline.gateway.notices import Notices
from audio_pipeline.gateway.relay import Relay
from audio_pipeline.gateway.roles import Roles, own_pair
from audio_pipeline.gateway.session import Sessions
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.keys import Keys
from audio_pipeline.links.waker import Waker

TURN_MS = 100
REVIEW_S = 1.0  # how often outputs and the address book are looked up
MAX_BYTES = 1 << 20
MAX_WAITING = 100  # messages to one peer that does not read: a second of sound
MAX_UNREAD = 20_000  # messages from one peer; the acceptor lets in far fewer, see there why
A_TURN = 64  # messages from outside altogether
CALM_MS = 5  # after a turn that took all it might, so that a flood costs no more than a sixth of a core
NOTICES = 50
INSIDE = "~gateway"  # begins the name of the socket to which the acceptor passes bytes
_numbers = itertools.count()


class Gateway:
    """Listens on tcp for one pipeline. `open` binds and raises; all else happens in a thread."""

    def __init__(self, address: str, run: RunDir, exports: Sequence[str], *, keys: Keys | None, own: str = "") -> None:
        self.host, self.port = parse_address(address)
        self._run_dir, self._exports = run, exports
        self._roles, self._pair = Roles(keys), own_pair(keys, own, self.host)
        self.counts: Counter[str] = Counter()
        self.notices = Notices(NOTICES)
        self._stop = threading.Event()
        self._reviewed_s = 0.0
        self._identities: dict[int, bytes] = {}  # of connections that have sent something, as ZeroMQ calls them
        self._numbers: dict[bytes, int] = {}  # the other way round

    def open(self) -> None:
        """Binds. DeviceError where the port is in use or the address is not this host's."""
        self._token = self._run_dir.token  # once: a flood of connections may leave no descriptor to read it with
        self._context: zmq.Context[Any] = zmq.Context()
        self._gate = Gatekeeper(self._context, self._admit, self._is_early) if self._roles.keys else None
        self._router = self._bound_inside()
        self.port = self.acceptor.port
        self.relay = Relay(Sessions(self._context), self._send, self.acceptor, self._token, self.counts, self.notices)
        self._dispatcher = Dispatcher(self._run_dir, self._roles, self._exports, self.relay, self._send, self.counts)
        self._control: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        self._control.setsockopt(zmq.LINGER, 0)
        self._control.connect(self._run_dir.control)
        self._waker = Waker()
        self.acceptor.start()
        self._thread = threads.start(self._work, "gateway", stop=self._stop)

    def _bound_inside(self) -> zmq.Socket[bytes]:
        """The socket behind the acceptor, which is made as well."""
        router: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        harden(router)
        for option, value in (
            (zmq.ROUTER_MANDATORY, 1),
            (zmq.SNDHWM, MAX_WAITING),
            (zmq.RCVHWM, MAX_UNREAD),
            (zmq.MAXMSGSIZE, MAX_BYTES),
        ):
            router.setsockopt(option, value)
        if self._pair:
            as_server(router, self._pair)
        remove_dead(self._run_dir.path, f"{INSIDE}.")
        inside = self._run_dir.endpoint(INSIDE, f"{os.getpid()}-{next(_numbers)}")
        try:
            router.bind(inside)
            self.acceptor = Acceptor(self.host, self.port, inside.removeprefix("ipc://"), connections_here())
        except (zmq.ZMQError, OSError) as error:
            self._context.destroy(linger=0)
            raise DeviceError(_bind_error(error, f"{self.host}:{self.port}")) from error
        return router

    @property
    def connected(self) -> list[str]:
        """Who is there: `laptop: listens to mix.out`."""
        return [f"{session.label}: {session.purpose}" for session in self.relay.sessions.all]

    def exported(self) -> tuple[str, ...]:
        """The outputs that may be listened to, once the pipeline has named them."""
        return self._dispatcher.published.ports

    def _work(self) -> None:
        while not self._stop.is_set():
            self._turn()
        self.relay.sessions.close()
        if self._gate is not None:
            self._gate.close()
        self._context.destroy(linger=0)

    def _turn(self) -> None:
        ready = self._ready()
        if self._gate is not None and self._gate.socket in ready:
            self._note_denied(self._gate.handle())
        if self._control in ready:
            self._on_ports(self._control.recv())
        for session in self.relay.sessions.all:
            if session.inner in ready:
                self.relay.pass_out(session)
        full = self._router in ready and receive(self._router, self._take, self.acceptor)
        self._note_gone()
        self._review(time.monotonic())
        if full:
            self._stop.wait(CALM_MS / 1000)

    def _ready(self) -> dict[Any, int]:
        """The sockets at which something waits."""
        poller = zmq.Poller()
        poller.register(self._waker.fd, zmq.POLLIN)
        gate = self._gate.socket if self._gate else None
        for socket in (self._router, self._control, gate, *self.relay.sessions.sockets):
            if socket is not None:
                poller.register(socket, zmq.POLLIN)
        return dict(poller.poll(TURN_MS))

    def _note_denied(self, public: str | None) -> None:
        if public is not None:
            self.counts["denied"] += 1
            sentence = f"turned away the key {public}, which is not on the allow-list or has no role"
            if sentence not in self.notices:
                self.relay.notify(sentence)

    def _note_gone(self) -> None:
        """Connections that ended take their sessions with them."""
        gone = self.acceptor.gone
        while gone:
            identity = self._identities.pop(gone.popleft(), None)
            if identity is not None:
                del self._numbers[identity]
                self.relay.drop_all(identity)

    def _review(self, now_s: float) -> None:
        """Once a second: who is silent, who is allowed, what is published."""
        if now_s - self._reviewed_s < REVIEW_S:
            return
        self._reviewed_s = now_s
        if self._roles.unread or self._roles.changed():
            self._reread()
        for session in self.relay.sessions.silent(now_s):
            self.relay.drop(session)
        self.counts.update({name: total - self.counts[name] for name, total in self.acceptor.counts.items()})
        request = {"v": VERSION, "token": self._token, "id": 0, "op": "ports"}
        with contextlib.suppress(zmq.Again):  # the supervisor has stood still for long
            self._control.send(encode(request), flags=zmq.DONTWAIT)

    def _reread(self) -> None:
        if reason := self._roles.reread():
            self.relay.notify(reason)
        for session in self.relay.sessions.all:
            if not self._roles.allow(session.user, session.purpose.role):
                self.relay.drop(session)

    def _on_ports(self, message: bytes) -> None:
        try:
            reply = decode(message)
        except WireError:
            return
        if reply.get("ok") and isinstance(reply.get("result"), dict):
            self._dispatcher.publish(reply["result"])

    def _admit(self, public: str) -> bool:
        if self._roles.changed():
            self._reread()
        return self._roles.allow(public, "listen")

    def _is_early(self, public: str) -> bool:
        """Whether a key has come so often that it has to wait."""
        return not self._dispatcher.bounds.may_enter(public, time.monotonic())

    def _take(self, frames: Sequence[zmq.Frame]) -> None:
        identity, body = frames[0].bytes, frames[-1]
        user = str(body.get("User-Id")) if self._gate is not None else ""
        number = self._numbers.get(identity) or number_of(int(body.get(zmq.SRCFD)))
        if number is not None:
            self._numbers[identity], self._identities[number] = number, identity
            self.acceptor.acknowledge(number, len(frames) - 1)
        self._dispatcher.take(Peer(identity, user, number), body.bytes)

    def _send(self, identity: bytes, message: bytes) -> bool:
        try:
            self._router.send_multipart([identity, message], flags=zmq.DONTWAIT)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            return False
        return True

    def close(self) -> None:
        """Ends the thread; peers notice within seconds."""
        self._stop.set()
        self._waker.wake()
        self._thread.join(5)
        self.acceptor.close()
        self._waker.close()


def receive(router: zmq.Socket[bytes], take: Callable[[Sequence[zmq.Frame]], None], acceptor: Acceptor) -> bool:
    """Takes a turn's share of what came, a message of each connection after the other; True where there may be more."""
    try:
        for _ in range(A_TURN):
            take(router.recv_multipart(zmq.DONTWAIT, copy=False))
    except zmq.Again:
        return False
    finally:
        acceptor.wake()
    return True


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
