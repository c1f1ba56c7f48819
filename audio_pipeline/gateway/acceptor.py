"""Accepts connections from other hosts, within bounds, and passes their bytes to a socket inside this process.

ZeroMQ accepts whatever comes until descriptors run out, and then ends the process (`ZMQ_MAX_SOCKETS` counts sockets,
`ZMQ_BACKLOG` only who waits). So the listening socket is ours: connections without a finished handshake are few and the
oldest of them makes room, and each connection has so many bytes a second. Encryption and keys are ZeroMQ's, behind it.

Of each connection only few messages may lie inside. Where a queue of ZeroMQ's is full and its peer goes, the next
heartbeat, ours or the peer's, ends the process with `Assertion failed: !_io_error` (libzmq 4.3.5); so it is never full.
"""

from __future__ import annotations

import contextlib
import itertools
import selectors
import socket
import threading
import time
from collections import Counter, deque

import psutil

from audio_pipeline import threads
from audio_pipeline.errors import WireError
from audio_pipeline.gateway.connection import Connection, name_of
from audio_pipeline.links.waker import Waker

BACKLOG = 128
ACCEPTS, ACCEPT_EVERY_S = 8, 0.01  # 800 a second: a fifth of a core
UNCLAIMED_S = 5.0  # a connection that was let in and says nothing
STUCK_S = 5.0  # bytes wait for a peer that does not read
CHUNK = 1 << 14
TURN_S = 0.05
TCP_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)

_numbers = itertools.count(1)


class Acceptor:
    """One listening tcp socket, at most `most` connections. A thread of its own carries the bytes."""

    def __init__(self, host: str, port: int, path: str, most: int) -> None:
        self._path, self._most = path, most
        self._listener = _listening(host, port)
        self.port = int(self._listener.getsockname()[1])
        self.counts: Counter[str] = Counter()
        self.gone: deque[int] = deque(maxlen=4096)  # connections that ended, for whoever knew them
        self._orders: deque[tuple[str, int]] = deque()
        self._taken: deque[tuple[int, int]] = deque()
        self._ways: dict[int, Connection] = {}
        self._selector = selectors.DefaultSelector()
        self._waker, self._stop = Waker(), threading.Event()
        self._accept_s: float | None = 0.0  # when the listener is looked at again; None while it is
        self._selector.register(self._waker.fd, selectors.EVENT_READ)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threads.start(self._run, "entrance", stop=self._stop)

    def claim(self, number: int) -> None:
        """Somebody who may be here: it stays while it lives."""
        self._order("claim", number)

    def release(self, number: int) -> None:
        """It holds no place any more: it may ask for one again, for a while."""
        self._order("release", number)

    def took(self, number: int, messages: int) -> None:
        """So many messages of a connection were taken, so as many more may come; `wake` says so."""
        self._taken.append((number, messages))

    def wake(self) -> None:
        self._waker.wake()

    def _order(self, what: str, number: int) -> None:
        self._orders.append((what, number))
        self._waker.wake()

    # -- the thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            self.turn(TURN_S)

    def turn(self, wait_s: float) -> None:
        """Waits for bytes and connections, and passes them on: each connection a piece."""
        now_s = time.monotonic()
        self._listen(now_s)
        if self._accept_s is not None:
            wait_s = min(wait_s, max(self._accept_s - now_s, 0.0))
        ready = self._selector.select(wait_s)
        self._waker.clear()
        self._obey()
        for key, events in ready:
            if key.fileobj is self._listener:
                self._accept(time.monotonic())
            elif isinstance(key.data, Connection):
                self._serve(key.data, key.fileobj, events)  # type: ignore[arg-type]
        self._look(time.monotonic())

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
            except OSError:  # no descriptor or no memory: the oldest makes room
                self.counts["refused"] += 1
                self._make_room()
                break
            self._enter(outer, now_s)
        self._selector.unregister(self._listener)
        self._accept_s = now_s + ACCEPT_EVERY_S

    def _enter(self, outer: socket.socket, now_s: float) -> None:
        if len(self._ways) >= self._most and not self._make_room():
            self.counts["refused"] += 1
            outer.close()
            return
        number = next(_numbers)
        try:
            inner = self._inside(number)
            outer.setblocking(False)
            for level, option, value in TCP_OPTIONS:
                outer.setsockopt(level, option, value)
        except OSError:
            self.counts["refused"] += 1
            outer.close()
            return
        way = self._ways[number] = Connection(number, outer, inner, now_s)
        for end in (outer, inner):
            self._selector.register(end, selectors.EVENT_READ, way)

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

    def _make_room(self) -> bool:
        """Ends the oldest connection without a finished handshake, or else without a place; False where none can."""
        first = min(self._ways.values(), key=lambda way: way.rank, default=None)
        if first is None or first.claimed:
            return False
        self.counts["made_room"] += 1
        self._close(first)
        return True

    def _serve(self, way: Connection, end: socket.socket, events: int) -> None:
        if way.number not in self._ways:
            return  # ended in this turn
        try:
            if events & selectors.EVENT_WRITE:
                self._flush(way, end)
            if events & selectors.EVENT_READ:
                self._carry(way, end)
            self._watch(way)
        except (OSError, WireError):
            self._close(way)

    def _carry(self, way: Connection, end: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError, InterruptedError):
            data = end.recv(CHUNK)
            if not data:
                raise ConnectionResetError
            if end is way.inner:
                way.answered(data)
            else:
                way.untaken += way.meter.push(data)
                way.resting = not way.budget.spend(len(data), time.monotonic())
            other, waiting = way.other(end)
            waiting += data
            self._flush(way, other)

    def _flush(self, way: Connection, end: socket.socket) -> None:
        waiting = way.inward if end is way.inner else way.outward
        if waiting:
            with contextlib.suppress(BlockingIOError, InterruptedError):
                del waiting[: end.send(waiting)]

    def _watch(self, way: Connection) -> None:
        """An end is read only while nothing waits at the other one, so a slow reader holds up nobody but its sender."""
        for end, coming, going in ((way.outer, way.inward, way.outward), (way.inner, way.outward, way.inward)):
            rests = end is way.outer and (way.resting or way.held)
            events = (0 if coming or rests else selectors.EVENT_READ) | (selectors.EVENT_WRITE if going else 0)
            known = end in self._selector.get_map()
            if events and known:
                self._selector.modify(end, events, way)
            elif events:
                self._selector.register(end, events, way)
            elif known:
                self._selector.unregister(end)

    def _obey(self) -> None:
        while self._orders:
            what, number = self._orders.popleft()
            way = self._ways.get(number)
            if way is None:
                continue
            way.claimed, way.began_s = what == "claim", time.monotonic()
        while self._taken:
            number, messages = self._taken.popleft()
            if (way := self._ways.get(number)) is not None:
                way.took(messages)
                self._watch(way)

    def _look(self, now_s: float) -> None:
        """Who was let in and asks for nothing, who does not read, and who may send again."""
        for way in list(self._ways.values()):
            way.stuck_s = (way.stuck_s or now_s) if way.outward else None
            silent = way.head is None and not way.claimed and now_s - way.began_s > UNCLAIMED_S
            if silent or (way.stuck_s is not None and now_s - way.stuck_s > STUCK_S):
                self.counts["silent" if silent else "unread"] += 1
                self._close(way)
            elif way.resting and way.budget.left(now_s) > CHUNK:
                way.resting = False
                self._watch(way)

    def _close(self, way: Connection) -> None:
        del self._ways[way.number]
        for end in (way.outer, way.inner):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(end)
            end.close()
        self.gone.append(way.number)

    def close(self) -> None:
        """Ends the thread and every connection."""
        self._stop.set()
        self._waker.wake()
        if self._thread is not None:
            self._thread.join(5)
        for way in list(self._ways.values()):
            self._close(way)
        self._selector.close()
        self._listener.close()
        self._waker.close()


def _listening(host: str, port: int) -> socket.socket:
    """Raises OSError."""
    plain = _of_interface(host.strip("[]"))
    found = socket.getaddrinfo(None if plain == "*" else plain, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setblocking(False)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _of_interface(host: str) -> str:
    """The first address of a network interface that is called so, or else what was said."""
    own = [item.address for item in psutil.net_if_addrs().get(host, ()) if item.family == socket.AF_INET]
    return own[0] if own else host
