"""A disk that is full: under a recording, and under the runtime folder. Each on a small file system of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.proofs.kinds.tune import tune
from tests.proofs.recording import recorded

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
KINDS = Path(__file__).parent / "kinds"
RATE = 48_000
FULL = "No space left on device"
PROGRESS = re.compile(r"\d+\.\d s \|")  # what `--no-view` prints each second, also while a start takes long
CONFIG = f"""
version: 1
name: full
rate: {RATE}
node_paths: ["{KINDS}"]
nodes:
  song: {{kind: tune}}
  mix: {{kind: mixer, inputs: {{a: {{from: song, on_loss: silence}}}}}}
  speaker: {{kind: playback, device: "null", in: {{from: mix, on_loss: silence}}}}
  meter: {{kind: meter, in: mix}}
"""
RECORDERS = """
  rec: {{kind: recorder, subtype: float32, folder: "{small}", inputs: {{one: {{from: song, policy: block}}, two: {{from: song, policy: block}}}}}}
  elsewhere: {{kind: recorder, subtype: float32, folder: "{roomy}", inputs: {{whole: {{from: song, policy: block}}}}}}
"""  # noqa: E501


class Ended(NamedTuple):
    """What a command left: exit code, what it said, and a copy of the small file system."""

    code: int
    said: str
    copy: Path


def _mounts() -> list[str]:
    """The command that may mount a file system of its own, empty where nobody may."""
    for command in (["unshare", "-m"], ["unshare", "-Urm"]):
        tried = [*command, "sh", "-c", "mount -t tmpfs -o size=1m none /mnt"]
        if shutil.which("unshare") and subprocess.run(tried, capture_output=True, check=False).returncode == 0:
            return command
    return []


def run_beside(small: Path, kib: int, config: Path, seconds: float, runtime: Path) -> Ended:
    """Runs a pipeline while `small` is a file system of `kib` KiB, seen by nobody else."""
    unshare = _mounts()
    if not unshare:
        pytest.skip("no file system can be mounted here: this needs root, or user namespaces")
    small.mkdir(exist_ok=True)
    copy = config.parent / "copy"
    mount, keep = f'mount -t tmpfs -o mode=0700,size={kib}k none "{small}"', f'cp -a "{small}" "{copy}"'
    script = f'{mount} && "$@"; code=$?; {keep}; exit $code'
    words = [
        sys.executable,
        "-m",
        "audio_pipeline",
        "run",
        str(config),
        "--no-view",
        "--duration",
        str(seconds),
        "--folder",
        str(config.parent / "take"),
    ]
    done = subprocess.run(
        [*unshare, "sh", "-c", script, "sh", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime)},
        stdin=subprocess.DEVNULL,
    )
    return Ended(done.returncode, done.stdout + done.stderr, copy)


def test_a_full_disk_ends_its_recordings_and_nothing_else(tmp_path: Path, private: Path, proof_scale: float) -> None:
    seconds = max(20 * proof_scale, 8)
    small, roomy, config = tmp_path / "small", tmp_path / "roomy", tmp_path / "full.yaml"
    config.write_text(CONFIG + RECORDERS.format(small=small, roomy=roomy))
    ended = run_beside(small, 2_048, config, seconds, private)
    lines = [line for line in ended.said.splitlines() if FULL in line]
    print("\n".join(lines))
    assert ended.code == 0, ended.said
    assert "Traceback" not in ended.said
    for track in ("one", "two"):
        mine = [line for line in lines if f"track {track!r} ends here; the others continue" in line]
        assert len(set(mine)) == 1, f"one sentence for {track}: {lines}"
        _check_opens(ended.copy, track)
    whole = recorded(roomy, "whole")
    _check_song(whole.audio)
    assert not whole.stated.any()
    assert len(whole.audio) >= (seconds - 1) * RATE, "the rest of the graph plays on"
    assert not re.search(r"(song|mix|speaker|rec|elsewhere|meter) died", ended.said), ended.said


def _check_opens(folder: Path, name: str) -> None:
    """The file up to there: opens, and holds nothing but the song."""
    track = recorded(folder, name)
    print(f"{name}: {len(track.audio) / RATE:.2f} s were kept")
    assert len(track.audio) >= RATE // 2
    _check_song(track.audio)


def _check_song(audio: np.ndarray) -> None:
    parts = [tune(at, min(RATE, len(audio) - at)) for at in range(0, len(audio), RATE)]
    assert np.array_equal(audio, np.concatenate(parts))


@pytest.mark.parametrize("kib", [4, 64, 400, 900])
def test_a_full_runtime_folder_is_said_in_one_sentence(kib: int, tmp_path: Path, private: Path) -> None:
    """Too small for the lock, for the first board, for the second, for the last."""
    config = tmp_path / "full.yaml"
    config.write_text(CONFIG)
    ended = run_beside(private, kib, config, 3, private)
    print(f"{kib} KiB: exit code {ended.code}: {ended.said.strip()}")
    assert ended.code != 0
    assert FULL in ended.said
    assert "Traceback" not in ended.said
    said = [line for line in ended.said.strip().splitlines() if not PROGRESS.match(line)]
    assert len(said) == 1, f"one sentence: {said}"
