"""Workers as forks of a process of this pipeline's own (`serving.forkserver`), which is a child of the supervisor."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from audio_pipeline.errors import PipelineError, WireError
from audio_pipeline.host.strays import MARK, mark
from audio_pipeline.packed import dumps
from audio_pipeline.serving.forked import is_supported
from audio_pipeline.serving.pool_client import request_of
from audio_pipeline.serving.pool_messages import LATER, PLAIN, Own, Take
from audio_pipeline.supervisor.forkserver_process import QUIET, ForkserverProcess, claim
from audio_pipeline.supervisor.pooled import PooledChild
from audio_pipeline.supervisor.worker_spec import WorkerSpec

LOG = "forkserver.log"
START_S = 30.0  # to import what workers have in common, from a slow disk on a busy machine
AGAIN_S = 5.0  # from one start to the next

R = TypeVar("R")


class OwnWorkers:
    """A pool for this pipeline alone. Where there is none just now, `take` gives nothing and the caller starts a child.

    Lives in the supervisor's thread. `note` gets a sentence for each process that was lost.
    """

    def __init__(self, spec: WorkerSpec, folder: Path, note: Callable[[str], None]) -> None:
        self._preload, self._folder, self._note = spec.preload, folder, note
        self._process: ForkserverProcess | None = None
        self._wait_s = START_S  # for it to be ready: the first one is waited for, a later one never
        self._again_s = 0.0
        self._extra: tuple[str, ...] = ()
        self._reasons: list[str] = []
        self.maintain(time.monotonic())

    @property
    def pids(self) -> frozenset[int]:
        """The process whose end is waited for."""
        return frozenset() if self._process is None else frozenset((self._process.pid,))

    @property
    def logs(self) -> list[Path]:
        """What it prints into."""
        return [] if self._process is None else [self._folder / LOG]

    def learn(self, spec: WorkerSpec) -> None:
        """What workers that are made from now on import."""
        if spec.preload != self._preload:
            self._preload = spec.preload
            self._attempt(self._begin)

    def maintain(self, now_s: float) -> bool:
        """True while there is one or it is on its way: then no other process has to stand by."""
        self._check_alive()
        if self._process is None and now_s >= self._again_s and is_supported():
            self._again_s = now_s + AGAIN_S
            self._attempt(self._start)
        while self._reasons:
            self._note(f"the process that forks workers is lost ({self._reasons.pop()}): all else plays on")
        return self._process is not None

    def take(self, number: int, folder: Path, preload: Sequence[str]) -> PooledChild | None:
        """A worker that bears the mark of this supervisor's child `number`; None where there is none to be had."""
        if not self._is_ready():
            return None
        self._wait_s = 0.0
        log = folder / f"worker-{number}.log"
        request = request_of("", preload, log, mark(folder, number)[MARK], QUIET)
        taken = self._attempt(lambda: self._fork(request))
        return None if taken is None else PooledChild(number, log, *taken)

    def _check_alive(self) -> None:
        if self._process is not None and not self._process.alive:
            self._lose("it has ended")

    def _is_ready(self) -> bool:
        self._check_alive()
        if self._process is None:
            return False
        self._process.wait_ready(self._wait_s)
        if self._process.has_threads and not self._extra:
            self._process.close(at_once=True)
            self._extra = (PLAIN,)
            self._attempt(self._start)
            return self._is_ready()
        return self._process.is_ready

    def _fork(self, request: Take) -> tuple[int, socket.socket]:
        if self._process is None:
            raise PipelineError("there is none")
        return self._process.take(dumps(asdict(request)))

    def _start(self) -> None:
        later = () if self._wait_s else (LATER,)
        self._process = claim() or ForkserverProcess(*self._extra, *later)
        self._begin()

    def _begin(self) -> None:
        if self._process is not None:
            self._process.begin(Own(mark(self._folder)[MARK], str(self._folder / LOG), self._preload))

    def _attempt(self, step: Callable[[], R]) -> R | None:
        try:
            return step()
        except (OSError, EOFError, WireError, PipelineError) as error:
            self._lose(str(error) or "it does not answer")
            return None

    def _lose(self, reason: str) -> None:
        self._reasons.append(reason)
        self._wait_s = 0.0
        process, self._process = self._process, None
        if process is not None:
            process.close(at_once=True)

    def close(self) -> None:
        """Ends it."""
        process, self._process = self._process, None
        if process is not None:
            process.close()
