"""The service's own processes: started, watched, started anew, ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from audio_pipeline.private_file import write_private
from audio_pipeline.terminal import warn

SHORT_S = 5.0  # who lives less long is waited for
LONGEST_WAIT_S = 5.0
END_S = 6.0
RUNNER = "audio_pipeline.service.child_main"


@dataclass
class Child:
    """One of them: how it is started, and what became of it."""

    name: str
    module: str
    arguments: Sequence[str] = ()
    task: bytes = b""  # on its standard input
    descriptors: Sequence[int] = ()  # that it inherits, under the same numbers
    popen: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    started_s: float = 0.0
    wait_s: float = 0.0
    due_s: float = 0.0

    def start(self, log: Path, now_s: float) -> None:
        """Raises OSError."""
        command = [sys.executable, "-m", RUNNER, str(os.getpid()), self.module, *self.arguments]
        with log.open("ab") as out:
            self.popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                pass_fds=self.descriptors,
                start_new_session=True,
            )
        assert self.popen.stdin is not None
        with suppress(OSError), self.popen.stdin as given:
            given.write(self.task)
        self.started_s = now_s


class Children:
    """All of them; called from one thread."""

    def __init__(self, children: Sequence[Child], log: Path, counts: Path) -> None:
        self._children, self._log, self._counts = children, log, counts

    def start(self) -> None:
        """Raises OSError."""
        for child in self._children:
            child.start(self._log, time.monotonic())
        self._count()

    def turn(self) -> None:
        """Starts those anew that have ended: at once, and less and less soon where one keeps ending."""
        now_s = time.monotonic()
        for child in self._children:
            if child.popen is not None and child.popen.poll() is not None:
                warn(
                    f"audio-pipeline serve: the {child.name} process ended ({child.popen.returncode}); it is restarted"
                )
                lived_s = now_s - child.started_s
                child.wait_s = min(max(2 * child.wait_s, 0.1), LONGEST_WAIT_S) if lived_s < SHORT_S else 0.0
                child.popen, child.due_s = None, now_s + child.wait_s
            if child.popen is None and now_s >= child.due_s:
                child.restarts += 1
                with suppress(OSError):  # tried again at the next turn
                    child.start(self._log, now_s)
                self._count()

    def _count(self) -> None:
        with suppress(OSError):
            counts = {child.name: child.restarts for child in self._children}
            write_private(self._counts, json.dumps(counts).encode())

    def end(self) -> None:
        """Asks all to end, and ends those that do not in time."""
        running = [child.popen for child in self._children if child.popen is not None]
        for popen in running:
            with suppress(ProcessLookupError):
                popen.send_signal(signal.SIGTERM)
        until_s = time.monotonic() + END_S
        for popen in running:
            try:
                popen.wait(max(until_s - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                popen.kill()
                popen.wait()
