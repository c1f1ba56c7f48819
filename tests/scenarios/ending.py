"""The end of a pipeline: its recordings, its exit code, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import soundfile

from tests.leftovers import leftovers, processes
from tests.scenarios.stage import steady
from tests.shared import ROOT

TRACKS = ("vocals", "accompaniment", "mix")


def check_opens(folder: Path, position: int) -> None:
    """Every track, in libsndfile and in FFmpeg, with all but the last second before `position`."""
    for name in TRACKS:
        path = folder / f"{name}.wav"
        path = path if path.exists() else path.with_suffix(".wav.part")
        with path.open("rb") as file, soundfile.SoundFile(file) as sound:
            assert sound.frames > position - 2 * sound.samplerate, f"{name} has {sound.frames} of {position} samples"
        with path.open("rb") as file, av.open(file) as container:
            assert next(container.decode(audio=0)).samples > 0


def check_equally_long(folder: Path) -> None:
    """The tracks line up, finished under their own names."""
    lengths = {name: soundfile.info(folder / f"{name}.wav").frames for name in TRACKS}
    assert len(set(lengths.values())) == 1 and min(lengths.values()) > 0, lengths


class Command:
    """`run_pipeline.py` as people start it."""

    def __init__(self, config: str, folder: Path, runtime: Path) -> None:
        self.folder, self._runtime = folder, runtime
        sets = [argument for item in steady(config) for argument in ("--set", item)]
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "run_pipeline.py"), config, "--no-view", "--folder", str(folder), *sets],
            env={**os.environ, "XDG_RUNTIME_DIR": str(runtime)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_until_it_plays(self) -> None:
        """The first line with a level of the mix in it."""
        assert self._process.stdout is not None
        lines = []
        for line in self._process.stdout:
            lines.append(line)
            if " mix " in line and "starting" not in line:
                return
        raise AssertionError(f"it never played: {''.join(lines)}")

    def interrupt(self) -> None:
        """As the terminal does for Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def kill_program(self) -> None:
        """The program itself, not the processes that it started."""
        self._process.kill()

    def ended(self, seconds: float) -> int:
        """Its exit code."""
        self._process.communicate(timeout=seconds)
        return self._process.returncode

    def left(self) -> list[str]:
        """What there still is of it: processes, its runtime folder."""
        return leftovers(self._runtime)

    def processes_after(self, seconds: float) -> list[str]:
        """Those that did not end by themselves."""
        deadline = time.monotonic() + seconds
        while (left := processes(self._runtime)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def started(config: str, folder: Path) -> Iterator[Command]:
    """A command that plays."""
    with tempfile.TemporaryDirectory(prefix="ap-") as runtime:  # short: socket paths hold 107 characters
        command = Command(config, folder, Path(runtime))
        try:
            command.wait_until_it_plays()
            yield command
        finally:
            command.close()
