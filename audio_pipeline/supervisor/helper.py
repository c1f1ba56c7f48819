"""A process beside the nodes that people can do without: started again when it ends, and never the pipeline's end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from audio_pipeline.host.strays import mark

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
HEALTHY_S = 10.0
Note = Callable[[str], None]


class Helper:
    """`python -m MODULE PARENT_PID DESCRIPTOR...`; `input_of()` goes to its standard input as a line of JSON."""

    def __init__(
        self, name: str, module: str, input_of: Callable[[], Mapping[str, object]], descriptors: Sequence[int] = ()
    ) -> None:
        self.name, self._module, self._input, self._descriptors = name, module, input_of, tuple(descriptors)
        self._popen: subprocess.Popen[bytes] | None = None
        self._wait_s, self._next_s, self._began_s = FIRST_WAIT_S, 0.0, 0.0

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self._popen is not None else None

    def turn(self, now_s: float, folder: Path, note: Note) -> None:
        """Starts it where it is not there and is due. From the thread that lives as long as the pipeline."""
        if self._popen is not None and self._popen.poll() is not None:
            self._reap(now_s, self._popen.returncode, note)
        if self._popen is None and now_s >= self._next_s:
            self._next_s = now_s + self._wait_s  # where the system refuses, this is when it is tried again
            self._start(folder)
            self._began_s = now_s

    def _reap(self, now_s: float, code: int, note: Note) -> None:
        self._popen = None
        self._wait_s = FIRST_WAIT_S if now_s - self._began_s > HEALTHY_S else min(2 * self._wait_s, LONGEST_WAIT_S)
        self._next_s = now_s + self._wait_s
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        note(f"the process for {self.name} ended ({how}); it is started again in {self._wait_s:g} s, all else plays on")

    def _start(self, folder: Path) -> None:
        with (folder / f"{self.name}.log").open("ab") as out:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", self._module, str(os.getpid()), *map(str, self._descriptors)],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                pass_fds=self._descriptors,
                env={**os.environ, **mark(folder)},
            )
        stdin = self._popen.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps(self._input()).encode() + b"\n")
            stdin.close()
        except BrokenPipeError:
            pass  # it is gone already, which the next turn sees

    def close(self) -> None:
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()
            self._popen = None
