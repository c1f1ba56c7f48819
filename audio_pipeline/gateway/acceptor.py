"""Accepts connections from other hosts, within bounds, and passes their bytes to a socket inside this process.

ZeroMQ accepts whatever comes until descriptors run out, and then ends the process (`ZMQ_MAX_SOCKETS` counts sockets,
`ZMQ_BACKLOG` only who waits). So the listening socket is ours: connections without a finished handshake are few and the
oldest of them is evicted, and each connection has so many bytes a second. Encryption and keys are ZeroMQ's, behind it.

Of each connection only few messages may lie inside. Where a queue of ZeroMQ's is full and its peer goes, the next
heartbeat, ours or the peer's, ends the process with `Assertion failed: !_io_error` (libzmq 4.3.5); so it is never full.
"""

from __future__ import annotations

import itertools
import selectors
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from enum import Enum

from audio_pipeline import threads
from audio_pipeline.errors import WireError
from audio_pipeline.gateway.carrier import Carrier
from audio_pipeline.gateway.connection import Connection, name_of
from audio_pipeline.gateway.listener import listening, set_options
from audio_pipeline.links.waker import Waker

ACCEPTS, ACCEPT_EVERY_S = 8, 0.01  # 800 a second: a fifth of a core
UNCLAIMED_S = 5.0  # a connection that was let in and sends nothing
STUCK_S = 5.0  # bytes wait for a peer that does not read
TURN_S = 0.05

_numbers = itertools.count(1)


class _Command(Enum):
    CLAIM = 1
    RELEASE = 2
    END = 3


class Acceptor:
    """One listening tcp socket, at most `most` connections. A thread of its own carries the bytes."""

    def __init__(self, host: str, port: int, path: str, most: int) -> None:
        self._path, self._most = path, most
        self._listener = listening(host, port)
        self.port = int(self._listener.getsockname()[1])
        self.counts: Counter[str] = Counter()
        self._gone: deque[int] = deque(maxlen=4096)  # connections that ended, for whoever knew them
        self._commands: deque[tuple[_Command, int]] = deque()
        self._taken: deque[tuple[int, int]] = deque()
        self._connections: dict[int, Connection] = {}
        self._selector = selectors.DefaultSelector()
        self._carrier = Carrier(self._selector)
        self._waker, self._stop = Waker(), threading.Event()
        self._accept_s: float | None = 0.0  # when the listener is polled again; None while it is
        self._selector.register(self._waker.fd, selectors.EVENT_READ)
        self._thread: threading.Thread | None = None

    @property
    def numbers(self) -> list[int]:
        """Of the connections that are open."""
        return list(self._connections)

    def ended(self) -> Iterator[int]:
        """The numbers of connections that have ended, each once."""
        while self._gone:
            yield self._gone.popleft()

    def start(self) -> None:
        self._thread = threads.start(self._run, "acceptor", stop=self._stop)

    def claim(self, number: int) -> None:
        """It has a session: it stays while it lives."""
        self._command(_Command.CLAIM, number)

    def release(self, number: int) -> None:
        """It has no session any more: it may ask for one again, for a while."""
        self._command(_Command.RELEASE, number)

    def end(self, number: int) -> None:
        """Nobody is there any more: a peer that vanished does not come back on it, and one that lives connects anew."""
        self._command(_Command.END, number)

    def acknowledge(self, number: int, messages: int) -> None:
        """So many messages of a connection were taken, so as many more may come; `wake` passes that on."""
        self._taken.append((number, messages))

    def wake(self) -> None:
        self._waker.wake()

    def _command(self, what: _Command, number: int) -> None:
        self._commands.append((what, number))
        self._waker.wake()

    # -- the thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            self.turn(TURN_S)

    def turn(self, wait_s: float) -> None:
        """Waits for bytes and connections, and passes them on: a piece of each connection."""
        now_s = time.monotonic()
        self._listen(now_s)
        if self._accept_s is not None:
            wait_s = min(wait_s, max(self._accept_s - now_s, 0.0))
        ready = self._selector.select(wait_s)
        self._waker.clear()
        self._apply_commands()
        for key, events in ready:
            if key.fileobj is self._listener:
                self._accept(time.monotonic())
            elif isinstance(key.data, Connection):
                self._serve(key.data, key.fileobj, events)  # type: ignore[arg-type]
        self._expire(time.monotonic())

    def _listen(self, now_s: float) -> None:
        if self._accept_s is not None and now_s >= self._accept_s:
            self._accept_s = None
            self._selector.register(self._listener, selectors.EVENT_READ)

    def _accept(self, now_s: float) -> None:
        for _ in range(ACCEPTS):
            try:
                outer, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # no descriptor or no memory: the oldest is evicted
                self.counts["refused"] += 1
                self._evict()
                break
            self._enter(outer, now_s)
        self._selector.unregister(self._listener)
        self._accept_s = now_s + ACCEPT_EVERY_S

    def _enter(self, outer: socket.socket, now_s: float) -> None:
        if len(self._connections) >= self._most and not self._evict():
            self.counts["refused"] += 1
            outer.close()
            return
        number = next(_numbers)
        try:
            inner = self._inside(number)
            set_options(outer)
        except OSError:
            self.counts["refused"] += 1
            outer.close()
            return
        connection = self._connections[number] = Connection(number, outer, inner, now_s)
        self._carrier.enter(connection)

    def _inside(self, number: int) -> socket.socket:
        inner = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            inner.setblocking(False)
            inner.bind(name_of(number))
            inner.connect(self._path)
        except OSError:
            inner.close()
            raise
        return inner

    def _evict(self) -> bool:
        """Ends the oldest connection without a finished handshake, or else without a place; False where none can."""
        first = min(self._connections.values(), key=lambda connection: connection.rank, default=None)
        if first is None or first.claimed:
            return False
        self.counts["evicted"] += 1
        self._close(first)
        return True

    def _serve(self, connection: Connection, end: socket.socket, events: int) -> None:
        if connection.number not in self._connections:
            return  # ended in this turn
        try:
            self._carrier.serve(connection, end, events)
        except (OSError, WireError):
            self._close(connection)

    def _apply_commands(self) -> None:
        while self._commands:
            what, number = self._commands.popleft()
            connection = self._connections.get(number)
            if connection is None:
                continue
            if what is _Command.END:
                self.counts["silent"] += 1
                self._close(connection)
            else:
                connection.claimed, connection.began_s = what is _Command.CLAIM, time.monotonic()
        while self._taken:
            number, messages = self._taken.popleft()
            if (connection := self._connections.get(number)) is not None:
                connection.acknowledge(messages)
                self._carrier.watch(connection)

    def _expire(self, now_s: float) -> None:
        """Ends those that were let in and ask for nothing, or do not read; reads those that may send again."""
        for connection in list(self._connections.values()):
            connection.stuck_s = (connection.stuck_s or now_s) if connection.outward else None
            silent = connection.head is None and not connection.claimed and now_s - connection.began_s > UNCLAIMED_S
            if silent or (connection.stuck_s is not None and now_s - connection.stuck_s > STUCK_S):
                self.counts["silent" if silent else "unread"] += 1
                self._close(connection)
            else:
                self._carrier.wake_rested(connection, now_s)

    def _close(self, connection: Connection) -> None:
        del self._connections[connection.number]
        self._carrier.leave(connection)
        self._gone.append(connection.number)

    def close(self) -> None:
        """Ends the thread and every connection."""
        self._stop.set()
        self._waker.wake()
        if self._thread is not None:
            self._thread.join(5)
        for connection in list(self._connections.values()):
            self._close(connection)
        self._selector.close()
        self._listener.close()
        self._waker.close()
