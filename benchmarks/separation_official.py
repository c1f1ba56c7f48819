"""Official Spleeter on TensorFlow, in its own interpreter, as one of the separators that `separation_speed.py` times.

Build the interpreter first: make spleeter. The file is both ends: imported, and run by that interpreter.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
INTERPRETER = Path.home() / ".cache" / "audio-pipeline" / "envs" / "spleeter" / "bin" / "python"
Array = np.ndarray[Any, np.dtype[np.float32]]


class Spent(NamedTuple):
    """Seconds by the wall clock and of CPU, of all threads."""

    wall_s: float
    cpu_s: float


class Official:
    """The package as a separator: a call takes sound (samples, 2) at 44.1 kHz and tells what its process spent."""

    def __init__(self, variables: Path, interpreter: Path) -> None:
        self._exit = ExitStack()
        self._sound = Path(self._exit.enter_context(tempfile.TemporaryDirectory())) / "sound.npy"
        command = [str(interpreter), __file__, str(variables), str(self._sound)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._exit.enter_context(self._process)

    def __call__(self, x: Array) -> Spent:
        np.save(self._sound, x)
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write("separate\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().split()
        if len(answer) != 2:
            raise SystemExit(f"{self._process.args} ended; was it built by `make spleeter`?")
        return Spent(float(answer[0]), float(answer[1]))

    def close(self) -> None:
        """Ends its process."""
        self._exit.close()


def main() -> None:
    """Separates the array in a file for each line of the input; answers with what it took."""
    sys.path.insert(0, str(ROOT))
    from audio_pipeline.models.separation.spleeter_original import Original

    answers, sys.stdout = sys.stdout, sys.stderr  # the package prints
    separate = Original(Path(sys.argv[1]))
    for _ in sys.stdin:
        x = np.load(sys.argv[2])
        began, used = time.perf_counter(), time.process_time()
        separate(x)
        print(time.perf_counter() - began, time.process_time() - used, file=answers, flush=True)


if __name__ == "__main__":
    main()
