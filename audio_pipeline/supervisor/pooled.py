"""A worker that was forked for us: not a child of ours, and looked after as if it were one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from audio_pipeline.errors import WireError
from audio_pipeline.host.processes import exit_code, is_same, started, wait_for_end
from audio_pipeline.host.strays import MARK, mark
from audio_pipeline.serving.pool_client import HostPool
from audio_pipeline.serving.pool_messages import Ended, parse_end, receive_bytes
from audio_pipeline.supervisor.forkserver_process import QUIET
from audio_pipeline.supervisor.process import Child
from audio_pipeline.supervisor.worker_spec import WorkerSpec
from audio_pipeline.threads import CRASHED

MOST_NOTICES = 8  # of one worker: one, and one more for each thread that failed in the same moment


class PooledChild(Child):
    """A worker process that waits for its job on `connection`, and ends when that is closed.

    The pool is its parent: it reports the exit code, and keeps the id from being anybody else's until this side has
    closed the connection.
    """

    def __init__(self, number: int, log: Path, pid: int, connection: socket.socket) -> None:
        self.number, self.log, self.pid = number, log, pid
        self._since, self._connection = started(pid), connection
        self._code: int | None = None
        self.last_notice = None
        self._is_watched = False
        self._lock, self._gone = threading.Lock(), threading.Event()

    def _send_job(self, message: bytes) -> None:
        with contextlib.suppress(OSError):  # it died while it waited; the watcher reports it
            self._connection.sendall(message)

    def _watch(self) -> int:
        self._is_watched = True
        return super()._watch()

    def _end(self) -> int:
        with self._lock:
            if self._code is None:
                self._code = self._received()
                self._connection.close()
                self._gone.set()
        return self._code

    def _received(self) -> int:
        """The exit code; where the pool died before the worker it is known to its new parent, which may be us."""
        try:
            return self._ended().code
        except (EOFError, OSError, WireError):
            wait_for_end(self.pid, self._since)
            code = exit_code(self.pid)
        if code is None:
            self._note("the pool of workers ended before this process, so its exit code is unknown")
            return CRASHED
        self.kill()  # and what it started
        os.waitpid(self.pid, 0)
        return code

    def _ended(self) -> Ended:
        """What the pool says of the end, behind what the worker did. Raises EOFError, OSError, WireError."""
        for _ in range(MOST_NOTICES):
            data = receive_bytes(self._connection)
            if (ended := parse_end(data)) is not None:
                return ended
            self.last_notice = data
        raise WireError(f"a worker sent more than {MOST_NOTICES} last notices")

    @property
    def alive(self) -> bool:
        return self._code is None and is_same(self.pid, self._since)

    @property
    def collected(self) -> bool:
        return self._code is not None

    def kill(self) -> None:
        if self._code is None and is_same(self.pid, self._since):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def wait(self, timeout_s: float) -> bool:
        if not self._is_watched:  # it never had a job
            self._connection.settimeout(timeout_s)
            self._end()
        return self._gone.wait(timeout_s)


class PooledWorkers:
    """The host's pool as a supervisor uses it."""

    def __init__(self, spec: WorkerSpec, note: Callable[[str], None]) -> None:
        self._pool = HostPool(spec.preload, QUIET, note)
        self._pool.connect()

    @property
    def pids(self) -> frozenset[int]:
        """None: the host's pool is nobody's child."""
        return frozenset()

    @property
    def logs(self) -> list[Path]:
        """None: it looks after its own."""
        return []

    def learn(self, spec: WorkerSpec) -> None:
        """Each worker's request says what it imports."""

    def maintain(self, now_s: float) -> bool:
        """True while there is a pool."""
        return self._pool.maintain(now_s)

    def take(self, number: int, folder: Path, preload: Sequence[str]) -> Child | None:
        """A worker that bears the mark of this supervisor's child `number`; None where there is none to be had."""
        log = folder / f"worker-{number}.log"
        taken = self._pool.take(preload, log, mark(folder, number)[MARK])
        return None if taken is None else PooledChild(number, log, *taken)

    def close(self) -> None:
        """This pipeline uses it no more."""
        self._pool.close()
