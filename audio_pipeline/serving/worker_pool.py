"""The host's pool of workers: one process with the engine imported, of which each worker is a fork.

A fork takes milliseconds and shares the memory of what is imported. Packages that start threads on import
cannot be in a process that forks: of those that a pipeline names, a warm process is kept, which imports them
and waits; it is a fork as well. `python -m audio_pipeline.serving.worker_pool FOLDER`.
"""

from __future__ import annotations

import os
import secrets
import selectors
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from audio_pipeline.errors import PipelineError, WireError
from audio_pipeline.host.log_ring import trim
from audio_pipeline.serving.forked import is_supported
from audio_pipeline.serving.forked_worker import heavy
from audio_pipeline.serving.forker import Forker, child_signals, import_own
from audio_pipeline.serving.pool_messages import Hold, parse_request, receive_bytes
from audio_pipeline.serving.process import run_service
from audio_pipeline.serving.service import Idle, Status, Tenure, linger_s
from audio_pipeline.terminal import write

MOST_CONNECTIONS = 512
SHORTAGE_S = 0.1  # until it is tried again
ASK_S = 1.0  # for a request to be whole: whoever connects asks at once
TURN_S = 0.5
FIRST_USER_S = 10.0  # for whoever started it to come


class Pool:
    """Serves supervisors, one request a connection. In one thread: it forks."""

    def __init__(
        self,
        tenure: Tenure,
        listener: socket.socket,
        idle: Idle,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tenure, self._listener, self._idle, self._now_s = tenure, listener, idle, now_s
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._forker = Forker()
        self._holds: dict[socket.socket, tuple[str, ...]] = {}
        self._folder = tenure.socket.parent

    def run(self) -> None:
        """Until nobody has used it for a while, or nobody can find it any more."""
        while not self._idle.is_over(in_use=self.is_used) and (self.is_used or self._tenure.is_published):
            self._tenure.show(self.status)
            for key, _ in self._selector.select(TURN_S):
                key.data()
            self._forker.collect(self._now_s())
            self._forker.prepare(self._holds.values(), self._now_s())
            trim(self._folder / "log")
        self._forker.warm.close()

    @property
    def is_used(self) -> bool:
        """Whether a supervisor holds it, or has a worker of it."""
        return bool(self._forker or self._holds)

    @property
    def status(self) -> Status:
        """For people: processes by pipeline."""
        counts = self._forker.pipelines
        users = (f"{name!r} ({_processes(count)})" for name, count in counts.items())
        ready = f", {len(self._forker.warm)} ready" if len(self._forker.warm) else ""
        waiting = ("a pipeline without a process",) * (not counts and bool(self._holds))
        return Status(_processes(len(self._forker)) + ready, (*sorted(users), *waiting), self._idle.linger_s)

    def watch(self, signals: socket.socket) -> None:
        """Wakes for the signals that come over this socket: a child has ended."""
        self._selector.register(signals, selectors.EVENT_READ, lambda: signals.recv(4_096))

    # -- requests -----------------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:  # no descriptor just now: who asks is answered later, or starts a process itself
            write(f"a connection cannot be taken: {error}")
            time.sleep(SHORTAGE_S)
            return
        if len(self._forker) + len(self._holds) >= MOST_CONNECTIONS:
            connection.close()
            return
        connection.settimeout(ASK_S)
        try:
            self._answer(connection)
        except (OSError, EOFError, WireError) as error:
            write(f"a request was refused: {error}")
            connection.close()

    def _answer(self, connection: socket.socket) -> None:
        data = receive_bytes(connection)
        request = parse_request(data)
        if not secrets.compare_digest(request.token, self._tenure.token):
            raise WireError("wrong token")
        if isinstance(request, Hold):
            self._holds[connection] = heavy(request.preload)
            self._selector.register(connection, selectors.EVENT_READ, lambda: self._release(connection))
        else:
            self._forker.take(request, data, connection, self._now_s())

    def _release(self, connection: socket.socket) -> None:
        """A supervisor that holds the pool sends nothing: it is gone."""
        self._selector.unregister(connection)
        self._holds.pop(connection, None)
        connection.close()


def _processes(count: int) -> str:
    return f"{count} {'process' if count == 1 else 'processes'}"


def serve(tenure: Tenure, task: Mapping[str, Any], ready: Callable[[], None]) -> None:
    """Listens until nobody uses it. Raises PipelineError where it cannot fork."""
    reason = import_own(tuple(map(str, task.get("preload", ()))))
    if reason or not is_supported():
        raise PipelineError(reason or "a pool of workers needs Linux")
    signals = child_signals()
    with socket.socket(socket.AF_UNIX) as listener:
        mask = os.umask(0o177)
        listener.bind(str(tenure.socket))
        os.umask(mask)
        listener.listen()
        ready()
        pool = Pool(tenure, listener, Idle(linger_s(), FIRST_USER_S))
        pool.watch(signals)
        pool.run()


if __name__ == "__main__":
    sys.exit(run_service(serve))
