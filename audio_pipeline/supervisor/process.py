"""Child processes: started ahead of need, given their job, watched by a thread each, never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from audio_pipeline import threads
from audio_pipeline.graph.job import Job, pack_jobs
from audio_pipeline.host.log_ring import last_lines
from audio_pipeline.host.strays import end_strays, mark
from audio_pipeline.supervisor.forkserver_process import QUIET
from audio_pipeline.supervisor.interpreter import command
from audio_pipeline.supervisor.job_file import remove_job, write_job
from audio_pipeline.supervisor.shortage import reason_of
from audio_pipeline.supervisor.worker_spec import WorkerSpec
from audio_pipeline.worker.last_notice import last_in
from audio_pipeline.worker.scheduling import SPARE

LINE_CHARACTERS = 400  # of a printed line, in an incident
KILLED_S = 2.0  # to be gone after SIGKILL
SPARE_AGAIN_S = 5.0  # after the system refused a spare process


class Child:
    """A worker process that waits for its job, then runs it."""

    def __init__(self, spec: WorkerSpec, number: int, folder: Path, *, spare: bool = False) -> None:
        self.number, self.log = number, folder / f"worker-{number}.log"
        self.last_notice: bytes | None = None
        self._is_watched = False
        self._connection, theirs = socket.socketpair()
        try:
            with theirs, self.log.open("ab") as out:
                self._popen = subprocess.Popen(
                    [*command(spec.python, spec.roots), str(os.getpid()), *spec.preload],
                    stdin=theirs.fileno(),
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                    env={**os.environ, **QUIET, **mark(folder, number), **({SPARE: "1"} if spare else {})},
                )
        except BaseException:
            self._connection.close()
            raise
        self.pid = self._popen.pid

    def give(self, jobs: Sequence[Job], on_exit: Callable[[int], None]) -> None:
        """Hands the jobs over; `on_exit(code)` is called from a thread when the process and what it started are gone.

        Raises OSError or RuntimeError where the system refuses the file or the thread; then the process is gone.
        """
        job = self.log.with_suffix(".job")

        def watch() -> None:
            code = self._watch()
            remove_job(job)  # where the process died before it read it
            on_exit(code)
            self._sweep()

        try:
            message = write_job(job, pack_jobs(jobs))
            threads.start(watch, f"watch-{jobs[0].name}")
        except (OSError, RuntimeError):
            remove_job(job)
            self.kill()
            self.wait(KILLED_S)
            raise
        self._send_job(message)

    def _send_job(self, message: bytes) -> None:
        """Where the job lies, on standard input: a few bytes, which never wait for a reader."""
        with contextlib.suppress(OSError):  # it died while it waited; the watcher reports it
            self._connection.sendall(message)

    def _watch(self) -> int:
        """Its exit code, once it is gone. Whatever the system refuses on the way (descriptors, memory), it is gone."""
        self._is_watched = True
        try:
            return self._end()
        except Exception as error:  # noqa: BLE001 - a watch that ends unseen leaves a node that is never restarted
            self._note(f"its process cannot be watched any more: {type(error).__name__}: {error}")
            self.kill()
            self._connection.close()
            return threads.CRASHED

    def _sweep(self) -> None:
        """Ends what it started and what left its process group; what cannot be found now is found at the next start."""
        try:
            end_strays(self.log.parent, self.number)
        except Exception as error:  # noqa: BLE001 - psutil raises what /proc does to it
            self._note(f"its child processes cannot be listed: {type(error).__name__}: {error}")

    def _note(self, sentence: str) -> None:
        with contextlib.suppress(OSError), self.log.open("a") as log:
            log.write(sentence + "\n")

    def _end(self) -> int:
        """Waits for its end, and ends what it started before its id can be anybody else's."""
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            self.kill()
        with self._connection:
            self.last_notice = last_in(self._connection)
        return self._popen.wait()

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    @property
    def collected(self) -> bool:
        """True once its end is known to us; until then its id is nobody else's."""
        return self._popen.returncode is not None

    def kill(self) -> None:
        """At once, with everything it started."""
        with contextlib.suppress(ProcessLookupError):  # gone already
            os.killpg(self.pid, signal.SIGKILL)

    def wait(self, timeout_s: float) -> bool:
        """True when the process is gone."""
        try:
            self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        if not self._is_watched:  # it never had a job
            self._connection.close()
        return True

    def last_lines(self, count: int = 20) -> list[str]:
        """The end of what it printed, however much that was."""
        return [line[:LINE_CHARACTERS] for line in last_lines(self.log, count)]


class Forks(Protocol):
    """A pool of workers that are forks of one process: this pipeline's own, or the host's."""

    @property
    def pids(self) -> frozenset[int]:
        """Processes of the pool itself whose end is waited for."""

    @property
    def logs(self) -> list[Path]:
        """What those print into."""

    def learn(self, spec: WorkerSpec) -> None:
        """What workers that are made from now on import."""

    def maintain(self, now_s: float) -> bool:
        """True while it can be had."""

    def take(self, number: int, folder: Path, preload: Sequence[str]) -> Child | None:
        """A worker that imports `preload` and waits for its job; None where it cannot give one now."""

    def close(self) -> None:
        """This pipeline uses it no more."""


class WorkerPool:
    """Has a process of each interpreter at once: a fork where it is ours, else one that waits, imports done."""

    def __init__(
        self,
        worker_specs: Sequence[WorkerSpec],
        folder: Path,
        note: Callable[[Mapping[int, int]], None],
        forks: Forks | None = None,
    ) -> None:
        self._forks = forks
        self._specs = {spec.python: spec for spec in worker_specs}
        self._folder, self._note = folder, note
        self._made = 0
        self._children: list[Child] = []
        self._warm: dict[str | None, Child] = {}
        self._again_s = 0.0

    def make(self, python: str | None = None, *, spare: bool = False) -> Child:
        """A new process that waits for a job. Raises OSError where the system refuses one."""
        self._made += 1
        return self._keep(Child(self._specs.get(python) or WorkerSpec(python), self._made, self._folder, spare=spare))

    def _keep(self, child: Child) -> Child:
        self._children = [other for other in self._children if not other.collected] + [child]
        self._note({other.number: other.pid for other in self._children})
        return child

    @property
    def pids(self) -> frozenset[int]:
        """All processes that were made and whose end nobody has taken notice of yet."""
        own = frozenset() if self._forks is None else self._forks.pids
        return own | {child.pid for child in self._children if not child.collected}

    @property
    def logs(self) -> list[Path]:
        """What they print into."""
        own = [] if self._forks is None else self._forks.logs
        return own + [child.log for child in self._children if not child.collected]

    def learn(self, worker_specs: Sequence[WorkerSpec]) -> None:
        """What processes that are made from now on import."""
        self._specs |= {spec.python: spec for spec in worker_specs}
        if self._forks is not None and None in self._specs:
            self._forks.learn(self._specs[None])

    def prepare(self, now_s: float) -> str:
        """Has one ready for each interpreter; gives what the system refused, or an empty string."""
        if now_s < self._again_s:
            return ""
        forked = self._forks is not None and self._forks.maintain(now_s)
        for python in self._specs:
            if python is None and forked:
                self._end_spare()  # a fork needs none
            elif python not in self._warm or not self._warm[python].alive:
                try:
                    self._warm[python] = self.make(python, spare=True)
                except OSError as error:
                    self._again_s = now_s + SPARE_AGAIN_S
                    return reason_of(error)
        return ""

    def _end_spare(self) -> None:
        spare = self._warm.pop(None, None)
        if spare is not None:
            spare.kill()
            spare.wait(KILLED_S)

    def take(self, python: str | None = None, preload: Sequence[str] = ()) -> Child:
        """A fork that imports `preload`, else the one of this interpreter that is ready, else a new one."""
        if python is None and self._forks is not None and python not in self._warm:
            child = self._forks.take(self._made + 1, self._folder, preload)
            if child is not None:
                self._made += 1
                return self._keep(child)
        spare = self._warm.pop(python, None)
        return spare if spare is not None and spare.alive else self.make(python)

    def close(self) -> None:
        for spare in self._warm.values():
            spare.kill()
            spare.wait(KILLED_S)
        if self._forks is not None:
            self._forks.close()
