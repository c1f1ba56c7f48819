"""Child processes: started ahead of need, told their job, watched by a thread each, never left behind."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from audio_pipeline.job import Job

# one thread of linear algebra a node: the graph is the parallelism, and idle pools cost wake-ups
QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Child:
    """A worker process that waits for its job, then runs it."""

    def __init__(self, preload: Sequence[str], log: Path) -> None:
        self.log = log
        with log.open("ab") as out:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "audio_pipeline.worker", str(os.getpid()), *preload],
                stdin=subprocess.PIPE, stdout=out, stderr=out, start_new_session=True, env={**os.environ, **QUIET},
            )  # fmt: skip
        self.pid = self._popen.pid

    def give(self, job: Job, on_exit: Callable[[int], None]) -> None:
        """Tells the job; `on_exit(code)` is called from a thread when the process is gone."""
        data = job.pack()
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(struct.pack("<I", len(data)) + data)
            self._popen.stdin.close()
        except BrokenPipeError:
            pass  # it died while it waited; the watcher tells
        threading.Thread(target=lambda: on_exit(self._popen.wait()), name=f"watch-{job.name}", daemon=True).start()

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def kill(self) -> None:
        """At once, with everything it started."""
        if self._popen.stdin is not None and not self._popen.stdin.closed:
            self._popen.stdin.close()
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # gone already

    def wait(self, timeout_s: float) -> bool:
        """True when the process is gone."""
        try:
            self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def last_lines(self, count: int = 20) -> list[str]:
        """The end of what it printed."""
        try:
            return self.log.read_text(errors="replace").splitlines()[-count:]
        except OSError:
            return []


class Spares:
    """Keeps one process ready, imports done."""

    def __init__(self, preload: Sequence[str], folder: Path, note: Callable[[int], None]) -> None:
        self._preload, self._folder, self._note = preload, folder, note
        self._made = 0
        self._spare: Child | None = None

    def make(self) -> Child:
        """A new process that waits for a job."""
        self._made += 1
        child = Child(self._preload, self._folder / f"worker-{self._made}.log")
        self._note(child.pid)
        return child

    def prepare(self) -> None:
        """Has one ready."""
        if self._spare is None or not self._spare.alive:
            self._spare = self.make()

    def take(self) -> Child:
        """The one that is ready, or a new one."""
        spare, self._spare = self._spare, None
        return spare if spare is not None and spare.alive else self.make()

    def close(self) -> None:
        if self._spare is not None:
            self._spare.kill()
            self._spare.wait(2)
