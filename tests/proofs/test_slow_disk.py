"""Slow, not broken: a disk that takes 50 ms to 30 s for a sync, a write, an open or a read, one that does not answer at
all for a while, and a reader of standard output that has stopped. Nobody is restarted, and what was recorded is whole.

A small library (`slow_disk.c`) stands between all processes of the pipeline and libc, for the files of the take.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.proofs.kinds.tune import tune
from tests.proofs.recording import recorded

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
HERE = Path(__file__).parent
COMPILER = shutil.which("cc") or shutil.which("gcc")
RATE = 48_000
START_S = 60  # on a busy machine
WORDS = ("sync", "write", "open", "read", "frozen")
CONFIG = f"""
version: 1
name: slow
rate: {RATE}
node_paths: ["{HERE / "kinds"}"]
nodes:
  song: {{kind: tune}}
  mix: {{kind: mixer, inputs: {{song: {{from: song, on_loss: silence}}}}}}
  speaker: {{kind: playback, device: "null", in: {{from: mix, on_loss: silence}}}}
  rec: {{kind: recorder, inputs: {{song: {{from: song, policy: block}}, again: {{from: song, policy: block}}}}}}
"""
can_build = COMPILER is not None and sys.platform == "linux"
needs_a_compiler = pytest.mark.skipif(not can_build, reason="needs Linux and a C compiler")


class SlowDisk:
    """What calls on files below a folder take, in programs that are started with `env`."""

    def __init__(self, tmp_path: Path, folder: Path) -> None:
        assert COMPILER is not None
        library, self._file = tmp_path / "slow_disk.so", tmp_path / "control"
        build = [COMPILER, "-shared", "-fPIC", "-O2", "-o", str(library), str(HERE / "slow_disk.c"), "-ldl"]
        subprocess.run(build, check=True)
        self._file.write_bytes(bytes(8 * len(WORDS)))
        self.env = {
            **os.environ,
            "LD_PRELOAD": str(library),
            "SLOW_CONTROL": str(self._file),
            "SLOW_UNDER": str(folder),
        }

    def set(self, **ms: int) -> None:
        """From now on; what is not named is quick."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("<5q", *(ms.get(word, 0) for word in WORDS)))


def start(tmp_path: Path, seconds: float, env: Mapping[str, str], stdout: int) -> subprocess.Popen[str]:
    (tmp_path / "slow.yaml").write_text(CONFIG)
    command = [sys.executable, "-m", "audio_pipeline", "run", "slow.yaml", "--no-view", "--duration", f"{seconds:g}"]
    return subprocess.Popen(
        [*command, "--folder", str(tmp_path / "take")],
        cwd=tmp_path,
        env=dict(env),
        stdout=stdout,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(path: Path, seconds: float = START_S) -> None:
    """Until a file is there."""
    deadline = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert path.exists(), f"{path.name} did not come within {seconds:g} s"


def check(tmp_path: Path, code: int, said: str, seconds: float, what: str) -> None:
    """Nobody was restarted, and both tracks are the song, sample for sample."""
    assert code == 0, said
    assert "died" not in said and "Traceback" not in said, said
    assert said.count("restarts 0") == said.count("restarts"), said
    for name in ("song", "again"):
        track = recorded(tmp_path / "take", name)
        right = [
            np.array_equal(track.audio[at : at + RATE], tune(at, min(RATE, len(track.audio) - at)))
            for at in range(0, len(track.audio), RATE)
        ]
        print(
            f"{what}: {name}: {len(track.audio) / RATE:.2f} s of {seconds:g}, {track.stated.sum()} samples stated as "
            f"missing, {right.count(False)} of its seconds not bit-identical"
        )
        assert all(right) and not track.stated.any()
        assert len(track.audio) >= (seconds - 1) * RATE


@needs_a_compiler
@pytest.mark.parametrize("ms", [50, 30_000])
@pytest.mark.parametrize("what", WORDS[:4])
def test_a_slow_call_holds_up_nobody(tmp_path: Path, private: Path, proof_scale: float, what: str, ms: int) -> None:
    ms = max(round(ms * min(proof_scale, 1)), 50)
    seconds = max(40 * proof_scale, 4)
    disk = SlowDisk(tmp_path, tmp_path / "take")
    with start(tmp_path, seconds, disk.env, subprocess.PIPE) as run:
        wait_for(tmp_path / "take" / "song.wav.part")
        disk.set(**{what: ms})
        said, _ = run.communicate(timeout=seconds + 600)
    check(tmp_path, run.returncode, said, seconds, f"{ms} ms a {what}")


@needs_a_compiler
def test_a_frozen_file_system_is_waited_for(tmp_path: Path, private: Path, proof_scale: float) -> None:
    """For longer than any node may stand still, also over the end of the run."""
    frozen_s = max(60 * proof_scale, 5)
    seconds = 2 + frozen_s
    disk = SlowDisk(tmp_path, tmp_path / "take")
    with start(tmp_path, seconds, disk.env, subprocess.PIPE) as run:
        wait_for(tmp_path / "take" / "song.wav.part")
        disk.set(frozen=1)
        time.sleep(frozen_s + 4)  # the run is over, as far as its sources are concerned
        assert run.poll() is None, "it ended and left sound unwritten"
        disk.set()
        said, _ = run.communicate(timeout=120)
    assert "has not answered for" in said
    check(tmp_path, run.returncode, said, seconds, f"frozen for {frozen_s + 4:.0f} s")


def test_a_stopped_reader_of_standard_output_holds_up_nobody(tmp_path: Path, private: Path, proof_scale: float) -> None:
    seconds = max(30 * proof_scale, 5)
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)
    filled = _fill(writing)
    fcntl.fcntl(writing, fcntl.F_SETFL, 0)
    with start(tmp_path, seconds, os.environ, writing) as run:
        os.close(writing)
        wait_for(tmp_path / "take" / "again.wav", seconds + START_S)
        wait_for(tmp_path / "take" / "song.wav")
        with os.fdopen(reading, "rb") as file:
            said = file.read()[filled:].decode()
        assert run.wait(60) == 0, said
    check(tmp_path, run.returncode, said, seconds, "standard output is not read")


def _fill(pipe: int) -> int:
    """Until nothing more fits; how much that was."""
    total = 0
    try:
        while True:
            total += os.write(pipe, b"." * 1024)
    except BlockingIOError:
        return total
