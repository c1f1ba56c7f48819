"""A TCP relay in user space: delays, jitters, stalls, cuts, and lets a connection hang half-open."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections import deque

CHUNK = 1 << 16
TICK_S = 0.001


class Relay:
    """Forwards 127.0.0.1:`port` to a target port. What TCP shows of loss and disorder is delay, so it only delays."""

    def __init__(self, target: int, *, delay_s: float = 0.0, jitter_s: float = 0.0, seed: int = 1) -> None:
        self.target, self.delay_s, self.jitter_s = target, delay_s, jitter_s
        self.stalled = False
        self._random = random.Random(seed)
        self._pairs: list[_Pair] = []
        self._stop = threading.Event()
        self._listener: socket.socket | None = None
        self.port = 0
        self.reopen()

    def reopen(self) -> None:
        """Takes connections (again)."""
        if self._listener is not None:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(16)
        self._listener, self.port = listener, listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        """The cable is out: connections are reset, new ones refused, until `reopen`."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):  # wakes the thread in accept
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for pair in self._pairs:
            pair.reset()
        self._pairs.clear()

    def vanish(self) -> None:
        """Half-open: connections stay, but nothing passes any more and nobody is told; new ones work."""
        for pair in self._pairs:
            pair.vanished = True

    @property
    def connections(self) -> int:
        return len([pair for pair in self._pairs if not pair.closed])

    def wait_s(self) -> float:
        """How long a piece of data takes."""
        return max(self.delay_s + self._random.uniform(-self.jitter_s, self.jitter_s), 0.0)

    def _accept(self, listener: socket.socket) -> None:
        while not self._stop.is_set():
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target), timeout=2)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with contextlib.suppress(OSError):  # gone already
                self._pairs.append(_Pair(self, near, far))

    def close(self) -> None:
        self._stop.set()
        self.cut()


class _Pair:
    def __init__(self, relay: Relay, near: socket.socket, far: socket.socket) -> None:
        self.relay, self.near, self.far = relay, near, far
        self.vanished = self.closed = False
        for sender, taker in ((near, far), (far, near)):
            sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            waiting: deque[tuple[float, bytes]] = deque()
            threading.Thread(target=self._read, args=(sender, waiting), daemon=True).start()
            threading.Thread(target=self._write, args=(taker, waiting), daemon=True).start()

    def _read(self, sender: socket.socket, waiting: deque[tuple[float, bytes]]) -> None:
        last = 0.0
        while not self.closed:
            try:
                data = sender.recv(CHUNK)
            except OSError:
                data = b""
            if not data and not self.vanished:
                self.reset()
            if not data:
                return
            if not self.vanished:
                last = max(last, time.monotonic() + self.relay.wait_s())  # in order, as TCP is
                waiting.append((last, data))

    def _write(self, taker: socket.socket, waiting: deque[tuple[float, bytes]]) -> None:
        while not self.closed:
            if self.vanished or self.relay.stalled or not waiting or waiting[0][0] > time.monotonic():
                time.sleep(TICK_S)
                continue
            try:
                taker.sendall(waiting.popleft()[1])
            except OSError:
                self.reset()

    def reset(self) -> None:
        self.closed = True
        for end in (self.near, self.far):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            end.close()
