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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from audio_pipeline.errors import PipelineError, WireError
from audio_pipeline.host.log_ring import trim
from audio_pipeline.serving.forked import (
    is_supported,
    threads_now,
)
from audio_pipeline.serving.forked_worker import OWN, begin, end_process, heavy, wait_warm, work_for
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
from audio_pipeline.serving.service import Tenure, linger_s
from audio_pipeline.terminal import write

MOST_CONNECTIONS = 512
MOST_WARM = 4  # sets of modules for which a process waits
ASK_S = 1.0  # for a request to be whole: whoever connects asks at once
ACK_S = 5.0  # for a supervisor to close its connection after the end of a worker
TURN_S = 0.5
FIRST_USER_S = 10.0  # for whoever started it to come
WARM_AFTER_S = 2.0  # a song begins in the moment when the machine has most to do


@dataclass
class Warm:
    """A process that has imported what takes long, and waits for its job."""

    pid: int
    channel: socket.socket


@dataclass
class Worker:
    """A process that was given to a supervisor."""

    pid: int
    connection: socket.socket
    ended_s: float | None = None


class Pool:
    """Serves supervisors, one request a connection. In one thread: it forks."""

    def __init__(self, tenure: Tenure, listener: socket.socket) -> None:
        self._tenure, self._listener = tenure, listener
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._workers: dict[int, Worker] = {}
        self._holds: dict[socket.socket, tuple[str, ...]] = {}
        self._warm: dict[tuple[str, ...], Warm] = {}
        self._warm_from_s = 0.0
        self._idle_since_s = time.monotonic() + FIRST_USER_S
        self._folder = tenure.socket.parent

    def run(self, linger: float) -> None:
        """Until nobody has used it for `linger` seconds, or nobody can find it any more."""
        while not self._is_over(time.monotonic(), linger):
            for key, _ in self._selector.select(TURN_S):
                key.data()
            self._collect(time.monotonic())
            self._prepare(time.monotonic())
            trim(self._folder / "log")
        for warm in self._warm.values():
            self._kill(warm.pid)

    def _is_over(self, now_s: float, linger: float) -> bool:
        if self._workers or self._holds:
            self._idle_since_s = now_s
            return False
        return now_s - self._idle_since_s >= linger or not self._tenure.is_published

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
        pid = self._hand_over(take, data, connection) or self._fork(lambda: work_for(take, connection), connection)
        self._workers[pid] = Worker(pid, connection)
        self._warm_from_s = time.monotonic() + WARM_AFTER_S
        send(connection, Taken(pid))

    def _hand_over(self, take: Take, data: bytes, connection: socket.socket) -> int:
        """The job's connection goes to a process that is warm for it; 0 where there is none."""
        warm = self._warm.pop(heavy(take.preload), None) if heavy(take.preload) else None
        if warm is None:
            return 0
        try:
            with warm.channel:
                socket.send_fds(warm.channel, [len(data).to_bytes(4, "little")], [connection.fileno()])
                warm.channel.sendall(data)
        except OSError:
            self._kill(warm.pid)
            return 0
        return warm.pid

    # -- processes ----------------------------------------------------------------------------------

    def _fork(self, work: Callable[[], int], kept: socket.socket) -> int:
        """The id of a process that runs `work`, once it has a session of its own and can be ended as a group."""
        sys.stdout.flush()
        sys.stderr.flush()
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            end_process(lambda: begin(work, kept))
        os.close(writer)
        os.read(reader, 1)  # closed by `leave_pool`
        os.close(reader)
        return pid

    def _prepare(self, now_s: float) -> None:
        """A warm process for each set of modules that a supervisor asks for, a while after the last request."""
        wanted = list(dict.fromkeys(preload for preload in self._holds.values() if preload))[:MOST_WARM]
        for preload in [preload for preload in self._warm if preload not in wanted]:
            self._kill(self._warm.pop(preload).pid)
        missing = [preload for preload in wanted if preload not in self._warm]
        if missing and now_s >= self._warm_from_s:
            ours, theirs = socket.socketpair()
            with theirs:
                pid = self._fork(lambda: wait_warm(missing[0], theirs), theirs)
            ours.settimeout(ASK_S)
            self._warm[missing[0]] = Warm(pid, ours)
            self._warm_from_s = now_s + WARM_AFTER_S

    def _collect(self, now_s: float) -> None:
        """Reports workers that have ended; each is collected once its supervisor knows, so its id is nobody else's."""
        for worker in list(self._workers.values()):
            if worker.ended_s is None and (code := _exit_code(worker.pid)) is not None:
                self._kill(worker.pid)  # and what it started
                worker.ended_s = now_s
                with suppress(OSError):
                    send(worker.connection, Ended(code))
            if worker.ended_s is not None and (is_closed(worker.connection) or now_s - worker.ended_s > ACK_S):
                os.waitpid(worker.pid, 0)
                worker.connection.close()
                del self._workers[worker.pid]
        for preload in [key for key, warm in self._warm.items() if _exit_code(warm.pid) is not None]:
            os.waitpid(self._warm.pop(preload).pid, 0)
            self._warm_from_s = now_s + ACK_S

    def _kill(self, pid: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _import_own(preload: Sequence[str]) -> str:
    """Imports our own modules of a request; why there can be no fork any more, or an empty string."""
    for module in preload:
        if module.startswith(OWN) and module not in sys.modules:
            with suppress(ImportError):  # who needs it names it
                importlib.import_module(module)
    count = threads_now()
    return f"the pool has {count} threads, expected one" if count > 1 else ""


def _exit_code(pid: int) -> int | None:
    """Of a child that has ended and is not collected; negative: by that signal."""
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    if found is None:
        return None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


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
        pool = Pool(tenure, listener)
        pool.watch(reader)
        pool.run(linger_s())


if __name__ == "__main__":
    sys.exit(run_service(serve))
