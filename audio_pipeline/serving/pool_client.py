"""A supervisor's side of the host's pool of workers: finds it, keeps it alive, takes workers from it."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from audio_pipeline import threads
from audio_pipeline.errors import PipelineError, WireError
from audio_pipeline.serving.forked import is_supported, reserved_mark
from audio_pipeline.serving.pool_messages import Hold, Take, Taken, is_closed, receive, send
from audio_pipeline.serving.service import Access, Service
from audio_pipeline.serving.start import find_or_start

MODULE = "audio_pipeline.serving.worker_pool"
TAKE_S = 2.0  # for a fork, and for imports of ours that the pool has not made yet
MOST_REASONS = 4
AGAIN_S = 5.0  # after the pool could not be had
AT_START = ("PYTHON", "LD_", "OMP_", "OPENBLAS_", "MKL_", "MALLOC_", "LANG", "LC_", "TZ", "ORT_", "CUDA_", "PATH")
NAMESPACES = ("mnt", "pid", "net", "user", "ipc", "cgroup")


class HostPool:
    """The pool that this pipeline shares with others. `take` may fail at any time: then there is no pool just now."""

    def __init__(
        self, preload: Sequence[str], environment: Mapping[str, str], note: Callable[[str], None] = lambda reason: None
    ) -> None:
        self._preload, self._note = tuple(preload), note
        self._reasons: deque[str] = deque(maxlen=MOST_REASONS)  # not noted yet: a thread may not
        self._environment = dict(environment)  # of the workers, beside that of this process
        self._access: Access | None = None
        self._held: socket.socket | None = None
        self._again_s = 0.0
        self._is_connecting = False

    def connect(self) -> None:
        """Finds the pool or starts it; `maintain` notes why there is none."""
        try:
            if not is_supported():
                raise PipelineError("a pool of workers needs Linux")
            self._connect(Service("pool", pool_key()))
        except (PipelineError, OSError, EOFError) as error:
            self._lose(str(error))
        finally:
            self._is_connecting = False

    def _connect(self, service: Service) -> None:
        environment = {**self._environment, **reserved_mark()}
        access = find_or_start(service, MODULE, {"preload": self._preload}, environment=environment)
        held = _open(access)
        send(held, Hold(access.token, self._preload))
        self._access, self._held = access, held

    def maintain(self, now_s: float) -> bool:
        """True while there is a pool; one that has gone is found or started again, in a thread. Notes what failed."""
        while self._reasons:
            self._note(self._reasons.popleft())
        if self._held is not None and not is_closed(self._held):
            return True
        if self._held is not None:
            self._lose("the pool of workers has ended")
        if now_s >= self._again_s and not self._is_connecting:
            self._is_connecting, self._again_s = True, now_s + AGAIN_S
            threads.start(self.connect, "pool", on_error=lambda error: self._lose(str(error)))
        return False

    def take(self, preload: Sequence[str], log: Path, mark: str) -> tuple[int, socket.socket] | None:
        """A worker that waits for its job: its id and the connection to it; None where there is none to be had."""
        if self._access is None:
            return None
        connection = None
        try:
            connection = _open(self._access)
            send(connection, request_of(self._access.token, preload, log, mark, self._environment))
            taken = receive(connection, Taken)
            if not taken.pid:
                raise PipelineError(taken.reason)
        except (OSError, EOFError, WireError, PipelineError) as error:
            if connection is not None:
                connection.close()
            self._lose(str(error))
            return None
        connection.settimeout(None)
        return taken.pid, connection

    def _lose(self, reason: str) -> None:
        self._reasons.append(reason)
        self._again_s = time.monotonic() + AGAIN_S
        self.close()

    def close(self) -> None:
        """This pipeline uses it no more; workers that it has are not touched."""
        held, self._held, self._access = self._held, None, None
        if held is not None:
            held.close()


def request_of(token: str, preload: Sequence[str], log: Path, mark: str, environment: Mapping[str, str]) -> Take:
    """Asks for a worker that is what a child of this process would be, with `environment` on top of ours."""
    return Take(
        token,
        tuple(preload),
        str(log),
        mark,
        {**os.environ, **environment},
        os.getcwd(),
        _umask(),
        resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        tuple(sorted(os.sched_getaffinity(0))),
    )


def pool_key() -> dict[str, object]:
    """What the processes of a fork cannot change any more: pipelines that differ in it share no pool."""
    starting = {name: value for name, value in sorted(os.environ.items()) if name.startswith(AT_START)}
    return {
        "environment": starting,
        "namespaces": [os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES],
        "cgroup": Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace"),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "groups": sorted(os.getgroups()),
    }


def _open(access: Access) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(TAKE_S)
    try:
        connection.connect(access.path)
    except OSError:
        connection.close()
        raise
    return connection


def _umask() -> int:
    """From /proc: the call that reads it would change it for every thread."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o077
