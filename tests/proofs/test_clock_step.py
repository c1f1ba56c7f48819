"""The time of day is set, an hour on and two hours back, while a pipeline plays: nobody hears it.

A library of 20 lines (`wall_clock.c`) stands between all processes of the pipeline and libc, for the time of day only.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from tests.proofs.kinds.tune import tune

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
HERE = Path(__file__).parent
COMPILER = shutil.which("cc") or shutil.which("gcc")
RATE = 48_000
HOUR_S = 3_600
CONFIG = f"""
version: 1
name: steps
rate: {RATE}
node_paths: ["{HERE / "kinds"}"]
nodes:
  song: {{kind: tune}}
  mix: {{kind: mixer, inputs: {{song: {{from: song, on_loss: silence}}}}}}
  speaker: {{kind: playback, device: "null", in: {{from: mix, on_loss: silence}}}}
  rec: {{kind: recorder, subtype: float32, inputs: {{song: {{from: song, policy: block}},
        mix: {{from: mix, policy: block}}}}}}
"""


class TimeOfDay:
    """What programs that are started with `env` take for the time of day."""

    def __init__(self, folder: Path) -> None:
        assert COMPILER is not None
        library, self._file = folder / "wall_clock.so", folder / "offset"
        subprocess.run([COMPILER, "-shared", "-fPIC", "-O2", "-o", library, HERE / "wall_clock.c"], check=True)
        self._file.write_bytes(bytes(8))
        self.env = {**os.environ, "LD_PRELOAD": str(library), "WALL_OFFSET": str(self._file)}

    def step(self, offset_s: int) -> None:
        """From now on it is so far from the truth."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("<q", offset_s * 1_000_000_000))

    def seen_s(self) -> float:
        """How far off a program finds it."""
        shown = subprocess.run(
            [sys.executable, "-c", "import time; print(time.time())"],
            env=self.env,
            check=True,
            capture_output=True,
            text=True,
        )
        return float(shown.stdout) - time.time()


@pytest.mark.skipif(COMPILER is None or sys.platform != "linux", reason="needs Linux and a C compiler")
def test_a_set_clock_is_not_heard(tmp_path: Path, proof_scale: float) -> None:
    seconds = max(60 * proof_scale, 8)
    (tmp_path / "steps.yaml").write_text(CONFIG)
    day = TimeOfDay(tmp_path)
    command = [sys.executable, "-m", "audio_pipeline", "run", "steps.yaml", "--duration", f"{seconds:g}"]
    with subprocess.Popen(
        [*command, "--folder", "take"],
        cwd=tmp_path,
        env=day.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        for offset_s in (HOUR_S, -HOUR_S, 0):
            time.sleep(seconds / 4)  # a real pipeline plays
            day.step(offset_s)
            assert day.seen_s() == pytest.approx(offset_s, abs=30), "it is really set"
        said, _ = run.communicate(timeout=seconds + 60)
    assert run.returncode == 0, said
    assert said.count("restarts 0") == said.count("restarts") > 0, said
    song, mix = (sf.read(tmp_path / "take" / f"{name}.wav", dtype="float32")[0] for name in ("song", "mix"))
    spans = range(0, len(song), RATE)
    wrong = sum(not np.array_equal(song[k : k + RATE], tune(k, min(RATE, len(song) - k))) for k in spans)
    first = int(np.abs(mix).max(axis=1).nonzero()[0][0])
    silent_s = float((np.abs(mix[first:]).max(axis=1) == 0).sum() / RATE)
    print(
        f"{seconds:.0f} s with the time of day set by +1 h, -2 h, +1 h: {len(song) / RATE:.2f} s recorded, "
        f"{wrong} of its seconds not bit-identical; {silent_s:.2f} s of the mix silent; no restart"
    )
    assert wrong == 0
    assert len(song) / RATE == pytest.approx(seconds, abs=1.5)
    assert silent_s < 1.0
