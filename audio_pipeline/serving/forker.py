"""Forks workers and looks after them, in a process without threads: the host's pool, or that of one pipeline."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from audio_pipeline.host.processes import exit_code
from audio_pipeline.serving.forked import threads_now
from audio_pipeline.serving.forked_worker import OWN, heavy, work_for
from audio_pipeline.serving.pool_messages import Ended, Take, Taken, is_closed, send
from audio_pipeline.serving.warm_workers import WarmWorkers, fork, kill

ACK_S = 5.0  # for a supervisor to close its connection after the end of a worker


@dataclass
class Worker:
    """A process that was given to a supervisor."""

    pid: int
    connection: socket.socket
    pipeline: str  # the name of its runtime folder
    ended_s: float | None = None


class Forker:
    """The processes of a pool. Lives in its only thread, since it forks."""

    def __init__(self) -> None:
        self._workers: dict[int, Worker] = {}
        self.warm = WarmWorkers()

    def __len__(self) -> int:
        """Workers that a supervisor has, or has not taken notice of the end of."""
        return len(self._workers)

    @property
    def pipelines(self) -> Counter[str]:
        """Whose the workers are: how many each has."""
        return Counter(worker.pipeline for worker in self._workers.values())

    def take(self, take: Take, data: bytes, connection: socket.socket, now_s: float) -> None:
        """A worker for a request, of which `data` are the bytes, or the reason why there is none. Raises OSError."""
        reason = import_own(take.preload)
        if reason:
            _refuse(connection, reason)
            return
        needed = [module for module in heavy(take.preload) if module not in sys.modules]
        handed = self.warm.hand_over(needed, data, connection)
        try:
            pid = handed or fork(lambda: work_for(take, connection), connection)
        except OSError as error:
            _refuse(connection, f"it cannot fork: {error.strerror or error}")
            return
        self._workers[pid] = Worker(pid, connection, Path(take.log).parent.name)
        self.warm.rest(now_s)
        send(connection, Taken(pid))

    def prepare(self, wanted: Iterable[tuple[str, ...]], now_s: float) -> None:
        """Has a warm process for each set of modules."""
        self.warm.prepare(wanted, now_s)

    def collect(self, now_s: float) -> None:
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
        self.warm.collect(now_s)

    def end_workers(self) -> None:
        """Their supervisor is gone."""
        for pid in self._workers:
            kill(pid)


def _refuse(connection: socket.socket, reason: str) -> None:
    with connection:
        send(connection, Taken(reason=reason))


def import_all(preload: Sequence[str]) -> None:
    """Imports modules; who needs one that cannot be imported will say so.

    What is there then is left out of garbage collections: those would write to pages that the forks share.
    """
    missing = [module for module in preload if module not in sys.modules]
    for module in missing:
        with suppress(ImportError):
            importlib.import_module(module)
    if missing or not gc.get_freeze_count():
        gc.collect()
        gc.freeze()


def import_own(preload: Sequence[str]) -> str:
    """Imports our own modules of a request; why there can be no fork any more, or an empty string."""
    import_all([module for module in preload if module.startswith(OWN)])
    count = threads_now()
    return f"the pool has {count} threads, expected one" if count > 1 else ""


def child_signals() -> socket.socket:
    """Becomes readable when a child ends."""
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    reader, writer = socket.socketpair()
    for end in (reader, writer):
        end.setblocking(False)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    return reader
