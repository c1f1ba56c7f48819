"""The process that forks a pipeline's workers, as a child of this one; it may be started before anybody needs it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator

from audio_pipeline.errors import PipelineError
from audio_pipeline.host.strays import MARK
from audio_pipeline.serving.forked import is_supported, reserved_mark
from audio_pipeline.serving.pool_messages import HEAD, READY, THREADS, Own, Taken, receive, send
from audio_pipeline.worker.scheduling import SPARE

MODULE = "audio_pipeline.serving.forkserver"
TAKE_S = 5.0  # for a fork
END_S = 2.0
# one thread of linear algebra a node: the graph is the parallelism, and idle pools cost wake-ups
QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class ForkserverProcess:
    """The process, from its start; ready once it has answered `begin`. Raises OSError where the system refuses it."""

    def __init__(self, *arguments: str) -> None:
        kept = {name: value for name, value in os.environ.items() if name not in (MARK, SPARE)}
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._popen: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-m", MODULE, str(os.getpid()), *arguments],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                env={**kept, **QUIET, **reserved_mark()},  # the mark is the last one
            )
        self.is_ready = self.has_threads = False
        self._channel.settimeout(TAKE_S)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def begin(self, own: Own) -> None:
        """Tells it whose it is, and what the kinds of the graph need. Raises OSError, WireError."""
        send(self._channel, own)

    def wait_ready(self, wait_s: float) -> None:
        """Until it has answered `begin` or has ended: then `is_ready`, or `has_threads` where it must not fork."""
        if not self.is_ready and select.select([self._channel], [], [], wait_s)[0]:
            with contextlib.suppress(OSError):
                answer = self._channel.recv(1)
                self.is_ready, self.has_threads = answer == READY, answer == THREADS

    def take(self, data: bytes) -> tuple[int, socket.socket]:
        """A worker that waits for its job: its id and the connection to it. Raises OSError, EOFError, PipelineError."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._channel, [HEAD.pack(len(data))], [theirs.fileno()])
                self._channel.sendall(data)
            ours.settimeout(TAKE_S)
            taken = receive(ours, Taken)
            if not taken.pid:
                raise PipelineError(taken.reason)
        except BaseException:
            ours.close()
            raise
        ours.settimeout(None)
        return taken.pid, ours

    def close(self, *, at_once: bool = False) -> None:
        """Ends it; workers that it has forked are not touched."""
        self._channel.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(0.0 if at_once else END_S)
            return
        self._popen.kill()
        self._popen.wait()


_early: list[ForkserverProcess] = []


@contextlib.contextmanager
def early_forkserver() -> Iterator[None]:
    """Starts one for the first pipeline that begins meanwhile: it imports while this process does."""
    if is_supported():
        with contextlib.suppress(OSError):  # the pipeline tries again, and says so
            _early.append(ForkserverProcess())
    try:
        yield
    finally:
        process = claim()
        if process is not None:
            process.close(at_once=True)


def claim() -> ForkserverProcess | None:
    """The one that was started early, for whoever asks first."""
    process = _early.pop() if _early else None
    return process if process is None or process.alive else None
