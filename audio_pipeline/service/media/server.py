"""The media process: one thread that carries all sound between browsers and the pipelines of sessions."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from audio_pipeline.errors import PipelineError
from audio_pipeline.gateway.policy import Caller
from audio_pipeline.gateway.router import Sent
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.links import messages
from audio_pipeline.links.waker import Waker
from audio_pipeline.service.media.admission import Admission
from audio_pipeline.service.media.backend import Backend
from audio_pipeline.service.media.connection import Connection, Ending
from audio_pipeline.service.media.handover import Arrival, Drain, Ended, Handed, Handover, Order
from audio_pipeline.service.media.poll import Poll
from audio_pipeline.service.media.stats import Stats
from audio_pipeline.service.media.websocket import WebSocket

TURN_MS, GREETING_MS, RESTING_MS = 100, 20, 10
REVIEW_NS, LEASE_NS = 1_000_000_000, 5_000_000_000


class Media:
    """Serves the connections that are handed over in a service's folder. Raises OSError where it cannot bind there.

    `clock`: monotonic, in ns, the one by which frames are stamped.
    """

    def __init__(self, folder: Path, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._folder, self._clock = folder, clock
        self._context: zmq.Context[Any] = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, 4_096)
        self._handover = Handover(folder)
        self._waker, self._stop = Waker(), threading.Event()
        self._poll = Poll(self._handover.fileno(), self._waker.fd)
        self._admission = Admission()
        self._connections: dict[int, Connection] = {}  # by number
        self._backends: dict[str, Backend] = {}  # by the folder of the pipeline
        self.stats = Stats()
        self._review_ns = self._lease_ns = 0

    # -- what the streams of a backend ask of their connections ------------------------------------

    def caller(self, user: str) -> Caller:
        """Whose connection that is."""
        connection = self._connections.get(int(user))
        return connection.caller if connection is not None else Caller("", "host")

    def claim(self, number: int) -> None:
        """It has a stream."""
        self._connections[number].claimed = True

    def release(self, number: int) -> None:
        """It has none any more."""
        if (connection := self._connections.get(number)) is not None:
            connection.claimed = False

    def end(self, number: int) -> None:
        """Nothing came of it for too long."""
        if (connection := self._connections.get(number)) is not None:
            connection.end(1008, "nothing came for 5 s", self._clock())

    def _send(self, identity: bytes, message: bytes) -> Sent:
        connection = self._connections.get(int(identity))
        return connection.send(message, self._clock()) if connection is not None else Sent.GONE

    # -- the loop -----------------------------------------------------------------------------------

    def run(self) -> None:
        """Until `stop`."""
        while not self._stop.is_set():
            self.turn(TURN_MS)
        self._leave()

    def stop(self) -> None:
        """From any thread, or a signal's handler."""
        self._stop.set()
        self._waker.wake()

    def turn(self, wait_ms: int) -> None:
        """Waits for something, and passes it on."""
        now_ns = self._clock()
        ready = self._poll.wait(self._connections.values(), self._backends.values(), self._wait_ms(wait_ms), now_ns)
        began_ns = self._clock()
        self._waker.clear()
        self._handover.serve(self._take)
        for connection in list(self._connections.values()):
            self._serve(connection, ready.get(connection.websocket.socket.fileno(), 0))
        for backend in self._backends.values():
            backend.serve(ready)
        self._finish()
        self._review()
        self.stats.turn(self._clock() - began_ns)

    def _wait_ms(self, wait_ms: int) -> int:
        connections = self._connections.values()
        if any(connection.conversation.is_waiting for connection in connections):
            return min(wait_ms, GREETING_MS)
        resting = any(not connection.is_reading(self._clock()) for connection in connections)
        return min(wait_ms, RESTING_MS) if resting else wait_ms

    def _serve(self, connection: Connection, events: int) -> None:
        now_ns = self._clock()
        try:
            if events & zmq.POLLOUT:
                connection.flush(now_ns)
            if events & (zmq.POLLIN | zmq.POLLERR):
                connection.read(now_ns)
            connection.greet_due(now_ns)
        except OSError:
            connection.ending = Ending.OVER

    def _finish(self) -> None:
        """Sends what has gathered; lets go of those that are over."""
        now_ns = self._clock()
        for connection in list(self._connections.values()):
            try:
                connection.flush(now_ns)
            except OSError:
                connection.ending = Ending.OVER
            connection.expire(now_ns)
            if connection.ending is Ending.OVER:
                self._drop(connection)

    def _take(self, order: Order) -> None:
        """What the web process hands over, or orders."""
        if isinstance(order, Arrival):
            self._enter(order.handed, order.socket)
        elif isinstance(order, Drain):
            for connection in self._of(order.session):
                connection.notify(messages.Leaving(in_s=order.leaving_in_s))
        else:
            self._end_session(order)

    def _of(self, session: str | None) -> list[Connection]:
        return [c for c in self._connections.values() if session is None or c.handed.session == session]

    def _end_session(self, order: Ended) -> None:
        for connection in self._of(order.ended):
            connection.end(1001, "the session has ended", self._clock())

    def _enter(self, handed: Handed, sock: socket.socket) -> None:
        self.stats.counts[handed.via] += 1
        websocket = WebSocket(sock)
        head = handed.request
        if reason := self._admission.refusal(handed.session, handed.name):
            self._reject(websocket, head, 429, reason)
            return
        try:
            backend = self._backend(handed.run)
        except PipelineError as error:
            self._reject(websocket, head, 503, str(error))
            return
        if not websocket.open(head):
            self.stats.counts["handshake_refused"] += 1
            self._abandon(websocket)
            return
        user = self._admission.enter(handed.session, handed.name)
        connection = Connection(handed, websocket, user, backend, self._clock())
        self._connections[connection.number] = connection

    def _backend(self, folder: str) -> Backend:
        """The one in front of a pipeline. Raises PipelineError."""
        found = self._backends.get(folder)
        if found is None:
            found = self._backends[folder] = Backend(self._context, RunDir(Path(folder)), self._send, self, self)
        return found

    def _reject(self, websocket: WebSocket, head: bytes, status: int, reason: str) -> None:
        self.stats.counts["turned_away"] += 1
        websocket.reject(head, status, reason)
        self._abandon(websocket)

    @staticmethod
    def _abandon(websocket: WebSocket) -> None:
        try:
            websocket.flush()
        except OSError:
            pass
        websocket.socket.close()

    def _drop(self, connection: Connection) -> None:
        del self._connections[connection.number]
        connection.backend.relay.drop_all(connection.peer.identity)
        self._admission.leave(connection.handed.session, connection.handed.name)
        self.stats.gone(connection)
        connection.websocket.socket.close()

    def _review(self) -> None:
        """Once a second: who is silent, which pipelines have ended, what is told of it."""
        now_ns = self._clock()
        if now_ns - self._review_ns < REVIEW_NS:
            return
        self._review_ns = now_ns
        for folder, backend in list(self._backends.items()):
            if not backend.is_alive:
                self._close_backend(folder)
                continue
            backend.review(time.monotonic())
            self.stats.notices(backend)
        if now_ns - self._lease_ns >= LEASE_NS:
            self._lease_ns = now_ns
            self._renew_leases()
        self.stats.write(self._folder, self._connections.values(), self._handover.counts)

    def _renew_leases(self) -> None:
        """Of the sessions that somebody listens to or plays in."""
        for lease in {c.handed.lease for c in self._connections.values() if c.claimed and c.handed.lease}:
            with contextlib.suppress(OSError):  # the session has ended
                os.utime(lease)

    def _close_backend(self, folder: str) -> None:
        """Its pipeline has ended."""
        backend = self._backends.pop(folder)
        for connection in [c for c in self._connections.values() if c.backend is backend]:
            connection.end(1001, "the session has ended", self._clock())
        self.stats.left(backend)
        backend.close()

    def _leave(self) -> None:
        """Tells everybody; they connect anew, to our successor."""
        for connection in list(self._connections.values()):
            connection.end(1012, "the media process is restarting", self._clock())
            self._serve(connection, zmq.POLLOUT)
            connection.websocket.socket.close()
        for backend in self._backends.values():
            backend.close()
        self._handover.close()
        self._context.destroy(linger=200)
        self._waker.close()
