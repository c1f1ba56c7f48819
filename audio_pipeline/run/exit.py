"""Ends pipelines that a program leaves open when it exits: their supervisors would keep the interpreter alive."""

from __future__ import annotations

import threading
from typing import Protocol

from audio_pipeline import threads

SUPERVISOR = "supervisor"  # the name of a supervisor's thread, the one that does not end by itself


class Run(Protocol):
    """A run that is under way until `wait` says otherwise."""

    def stop(self) -> None:
        """Asks for the end and returns."""

    def wait(self, timeout_s: float | None = None) -> bool:
        """True once it has ended."""


class ExitGuard:
    """Stops what is still open once no thread of the program is left that could close it."""

    def __init__(self) -> None:
        self._open: set[Run] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, run: Run) -> None:
        """Watches over a run; those that have ended meanwhile are let go."""
        with self._lock:
            self._open = {other for other in self._open if not other.wait(0)} | {run}
            if self._thread is None:
                self._thread = threads.start(self._stop_at_exit, "exit-guard")

    def discard(self, run: Run) -> None:
        """It has been closed."""
        with self._lock:
            self._open.discard(run)

    def _stop_at_exit(self) -> None:
        threading.main_thread().join()
        while others := [thread for thread in threading.enumerate() if _may_close(thread)]:
            others[0].join()
        with self._lock:
            left = list(self._open)
        for run in left:
            run.stop()


def _may_close(thread: threading.Thread) -> bool:
    """Whether a thread of the program keeps the interpreter alive, and so may still use a pipeline."""
    return not thread.daemon and thread.name != SUPERVISOR and thread is not threading.main_thread()


GUARD = ExitGuard()
