"""The host's pool of workers: one process with the engine imported, of which each worker is a fork.

A fork takes milliseconds and shares the memory of what is imported. Packages that start threads on import (ONNX
Runtime) cannot be in a process that forks: of those that a pipeline names, a warm process is kept, which imports them
and waits; it is a fork as well. `python -m audio_pipeline.serving.worker_pool FOLDER`.
"""

from __future__ import annotations

import importlib
import os
import secrets
import selectors
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audio_pipeline.errors import PipelineError, WireError
from audio_pipeline.host.log_ring import trim
from audio_pipeline.serving.forked import is_supported, threads_now
from audio_pipeline.serving.forked_worker import OWN, heavy, work_for
from audio_pipeline.serving.pool_messages import (
    Ended,
    Hold,
    Take,
    Taken,
    is_closed,
    parse_request,
    receive_bytes,
    send,
)
from audio_pipeline.serving.process import run_service
from audio_pipeline.serving.service import Idle, Status, Tenure, linger_s
from audio_pipeline.serving.warm_workers import WarmWorkers, exit_code, fork, kill
from audio_pipeline.terminal import write

MOST_CONNECTIONS = 512
ASK_S = 1.0  # for a request to be whole: whoever connects asks at once
ACK_S = 5.0  # for a supervisor to close its connection after the end of a worker
TURN_S = 0.5
FIRST_USER_S = 10.0  # for whoever started it to come


@dataclass
class Worker:
    """A process that was given to a supervisor."""

    pid: int
    connection: socket.socket
    pipeline: str  # the name of its runtime folder
    ended_s: float | None = None


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
        self._workers: dict[int, Worker] = {}
        self._holds: dict[socket.socket, tuple[str, ...]] = {}
        self._warm = WarmWorkers()
        self._folder = tenure.socket.parent

    def run(self) -> None:
        """Until nobody has used it for a while, or nobody can find it any more."""
        while not self._idle.is_over(in_use=self.is_used) and (self.is_used or self._tenure.is_published):
            self._tenure.show(self.status)
            for key, _ in self._selector.select(TURN_S):
                key.data()
            self._collect(self._now_s())
            self._warm.prepare(self._holds.values(), self._now_s())
            trim(self._folder / "log")
        self._warm.close()

    @property
    def is_used(self) -> bool:
        """Whether a supervisor holds it, or has a worker of it."""
        return bool(self._workers or self._holds)

    @property
    def status(self) -> Status:
        """For people: processes by pipeline."""
        counts = Counter(worker.pipeline for worker in self._workers.values())
        users = (f"{name!r} ({_processes(count)})" for name, count in counts.items())
        ready = f", {len(self._warm)} ready" if len(self._warm) else ""
        waiting = ("a pipeline without a process",) * (not counts and bool(self._holds))
        return Status(_processes(len(self._workers)) + ready, (*sorted(users), *waiting), self._idle.linger_s)

    def watch(self, signals: socket.socket) -> None:
        """Wakes for the signals that come over this socket: a child has ended."""
        self._selector.register(signals, selectors.EVENT_READ, lambda: signals.recv(4_096))

    # -- requests -----------------------------------------------------------------------------------

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        if len(self._workers) + len(self._holds) >= MOST_CONNECTIONS:
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
            self._take(request, data, connection)

    def _release(self, connection: socket.socket) -> None:
        """A supervisor that holds the pool sends nothing: it is gone."""
        self._selector.unregister(connection)
        self._holds.pop(connection, None)
        connection.close()

    def _take(self, take: Take, data: bytes, connection: socket.socket) -> None:
        reason = _import_own(take.preload)
        if reason:
            send(connection, Taken(reason=reason))
            connection.close()
            return
        handed = self._warm.hand_over(heavy(take.preload), data, connection)
        pid = handed or fork(lambda: work_for(take, connection), connection)
        self._workers[pid] = Worker(pid, connection, Path(take.log).parent.name)
        self._warm.rest(self._now_s())
        send(connection, Taken(pid))

    # -- processes ----------------------------------------------------------------------------------

    def _collect(self, now_s: float) -> None:
        """Reports workers that have ended; each is collected once its supervisor knows, so its id is nobody else's."""
        for worker in list(self._workers.values()):
            if worker.ended_s is None and (code := exit_code(worker.pid)) is not None:
                kill(worker.pid)
                worker.ended_s = now_s
                with suppress(OSError):
                    send(worker.connection, Ended(code))
            if worker.ended_s is not None and (is_closed(worker.connection) or now_s - worker.ended_s > ACK_S):
                os.waitpid(worker.pid, 0)
                worker.connection.close()
                del self._workers[worker.pid]
        self._warm.collect(now_s)


def _processes(count: int) -> str:
    return f"{count} {'process' if count == 1 else 'processes'}"


def _import_own(preload: Sequence[str]) -> str:
    """Imports our own modules of a request; why there can be no fork any more, or an empty string."""
    for module in preload:
        if module.startswith(OWN) and module not in sys.modules:
            with suppress(ImportError):  # who needs it names it
                importlib.import_module(module)
    count = threads_now()
    return f"the pool has {count} threads, expected one" if count > 1 else ""


def serve(tenure: Tenure, task: Mapping[str, Any], ready: Callable[[], None]) -> None:
    """Listens until nobody uses it. Raises PipelineError where it cannot fork."""
    reason = _import_own(tuple(map(str, task.get("preload", ()))))
    if reason or not is_supported():
        raise PipelineError(reason or "a pool of workers needs Linux")
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    reader, writer = socket.socketpair()
    for end in (reader, writer):
        end.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    with socket.socket(socket.AF_UNIX) as listener:
        mask = os.umask(0o177)
        listener.bind(str(tenure.socket))
        os.umask(mask)
        listener.listen()
        ready()
        pool = Pool(tenure, listener, Idle(linger_s(), FIRST_USER_S))
        pool.watch(reader)
        pool.run()


if __name__ == "__main__":
    sys.exit(run_service(serve))
