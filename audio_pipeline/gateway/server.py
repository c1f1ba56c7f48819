"""The one place of a pipeline that other hosts can reach: a port behind which keys are checked and messages relayed.

What a message leads to is decided in `dispatch`, who may have what in `policy`; sessions are in the `relay`, bytes in
the `acceptor`.
"""

from __future__ import annotations

import errno
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zmq

from audio_pipeline import threads
from audio_pipeline.errors import DeviceError
from audio_pipeline.gateway.acceptor import Acceptor
from audio_pipeline.gateway.bounds import connections_here
from audio_pipeline.gateway.curve import Gatekeeper, parse_address
from audio_pipeline.gateway.dispatch import Dispatcher
from audio_pipeline.gateway.notices import Notices
from audio_pipeline.gateway.ports import PortsQuery
from audio_pipeline.gateway.relay import Relay
from audio_pipeline.gateway.roles import Roles, own_pair
from audio_pipeline.gateway.router import Router
from audio_pipeline.gateway.session import Sessions
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.keys import Keys
from audio_pipeline.links.waker import Waker

TURN_MS, FULL_MS = 100, 5  # the latter while a peer reads more slowly than it is sent
REVIEW_S = 1.0  # how often outputs and the address book are looked up
CALM_MS = 5  # after a turn that took all it might, so that a flood costs no more than a sixth of a core
NOTICES = 50


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

    def open(self) -> None:
        """Binds. DeviceError where the port is in use or the address is not this host's."""
        token = self._run_dir.token  # once: a flood of connections may leave no descriptor to read it with
        self._context: zmq.Context[Any] = zmq.Context()
        self._gate = Gatekeeper(self._context, self._admit, self._is_early) if self._roles.keys else None
        self._listen()
        self.port = self.acceptor.port
        send, self._sessions = self._router.send, Sessions(self._context)
        self._relay = Relay(self._sessions, send, self.acceptor, token, self.counts, self.notices)
        self._dispatcher = Dispatcher(self._run_dir, self._roles, self._exports, self._relay, send, self.counts)
        self._ports = PortsQuery(self._context, self._run_dir.control, token)
        self._waker = Waker()
        self.acceptor.start()
        self._thread = threads.start(self._work, "gateway", stop=self._stop)

    def _listen(self) -> None:
        try:
            self._router = Router(self._context, self._run_dir, self._pair)
            self.acceptor = Acceptor(self.host, self.port, self._router.path, connections_here())
        except (zmq.ZMQError, OSError) as error:
            self._context.destroy(linger=0)
            raise DeviceError(_bind_error(error, f"{self.host}:{self.port}")) from error

    @property
    def connected(self) -> list[str]:
        """Who is there: `laptop: listens to mix.out`."""
        return [f"{session.label}: {session.purpose}" for session in self._sessions.all]

    def exported(self) -> tuple[str, ...]:
        """The outputs that may be listened to, once the pipeline has named them."""
        return self._dispatcher.exported

    def _work(self) -> None:
        while not self._stop.is_set():
            self._turn()
        self._sessions.close()
        if self._gate is not None:
            self._gate.close()
        self._context.destroy(linger=0)

    def _turn(self) -> None:
        ready = self._ready()
        if self._gate is not None and self._gate.socket in ready:
            self._note_denied(self._gate.handle())
        if self._ports.socket in ready and (ports := self._ports.receive()) is not None:
            self._dispatcher.publish(ports)
        self._relay.pass_all_out(ready)
        full = self._router.socket in ready and self._router.receive(self._dispatcher.take, self.acceptor)
        for identity in self._router.forget(self.acceptor.ended()):
            self._relay.drop_all(identity)
        self._review(time.monotonic())
        if full:
            self._stop.wait(CALM_MS / 1000)

    def _ready(self) -> dict[Any, int]:
        """The sockets at which something waits."""
        poller = zmq.Poller()
        poller.register(self._waker.fd, zmq.POLLIN)
        gate = self._gate.socket if self._gate else None
        for socket in (self._router.socket, self._ports.socket, gate, *self._sessions.sockets):
            if socket is not None:
                poller.register(socket, zmq.POLLIN)
        return dict(poller.poll(FULL_MS if self._sessions.is_one_full else TURN_MS))

    def _note_denied(self, public: str | None) -> None:
        if public is not None:
            self.counts["denied"] += 1
            sentence = f"turned away the key {public}, which is not on the allow-list or has no role"
            if sentence not in self.notices:
                self._relay.notify(sentence)

    def _review(self, now_s: float) -> None:
        """Once a second: who is silent, who is allowed, what is published."""
        if now_s - self._reviewed_s < REVIEW_S:
            return
        self._reviewed_s = now_s
        if self._roles.unread or self._roles.changed():
            self._reread()
        self._relay.expire(now_s)
        accepted = self.acceptor.counts
        self.counts.update({name: total - self.counts[name] for name, total in accepted.items()})
        self._ports.ask()

    def _reread(self) -> None:
        if reason := self._roles.reread():
            self._relay.notify(reason)
        for session in self._sessions.all:
            if not self._roles.allow(session.user, session.purpose.role):
                self._relay.drop(session)

    def _admit(self, public: str) -> bool:
        if self._roles.changed():
            self._reread()
        return self._roles.allow(public, "listen")

    def _is_early(self, public: str) -> bool:
        """Whether a key has come so often that it has to wait."""
        return not self._dispatcher.may_enter(public, time.monotonic())

    def close(self) -> None:
        """Ends the thread; peers notice within seconds."""
        self._stop.set()
        self._waker.wake()
        self._thread.join(5)
        self.acceptor.close()
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
