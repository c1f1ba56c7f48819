"""Clean-ups of temporary folders with an age of one second, again and again while a pipeline plays."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.environments.running import Running, everybody_runs, restarts, running

AGE_S = 1.0


def by_systemd(folder: Path, config: Path) -> None:
    """As `systemd-tmpfiles-clean.timer` does, with another age."""
    config.write_text(f"e {folder} - - - {AGE_S:g}s\n", encoding="utf-8")
    subprocess.run(["systemd-tmpfiles", "--clean", str(config)], check=True, stderr=subprocess.DEVNULL)


def by_age(folder: Path, config: Path) -> None:
    """As older ones, which know no locks: whatever was not touched for so long goes, empty folders too."""
    for path in sorted(folder.rglob("*"), reverse=True):
        try:
            found = path.lstat()
            if time.time() - max(found.st_atime, found.st_mtime, found.st_ctime) > AGE_S:
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        except OSError:
            continue  # gone, or not empty


def by_hand(folder: Path, config: Path) -> None:
    """Everything, however new."""
    for path in folder.iterdir():
        shutil.rmtree(path, ignore_errors=True)  # some of it may be back already


@pytest.mark.parametrize(
    "clean",
    [
        pytest.param(
            by_systemd, marks=pytest.mark.skipif(not shutil.which("systemd-tmpfiles"), reason="not installed")
        ),
        by_age,
        by_hand,
    ],
)
def test_a_clean_up_stops_and_restarts_nobody(tmp_path: Path, clean: Callable[[Path, Path], None]) -> None:
    with running(tmp_path) as pipeline:
        before = pipeline.plays_on()
        stale = pipeline.runtime / "audio-pipeline" / "stale"
        stale.mkdir()
        (stale / "token").touch()
        for path in (stale / "token", stale):
            os.utime(path, (0, 0))
        pids = {name: node["pid"] for name, node in before["nodes"].items()}
        for _ in range(4):
            clean(pipeline.runtime, tmp_path / "clean.conf")
            state = pipeline.plays_on()
            assert restarts(state) == 0 and {name: node["pid"] for name, node in state["nodes"].items()} == pids
        assert not stale.exists(), "it does clean"
        _dies_and_comes_back(pipeline, pids["mix"])
        assert pipeline.end() == 0


def _dies_and_comes_back(pipeline: Running, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    pipeline.when(lambda state: everybody_runs(state) and state["nodes"]["mix"]["restarts"] == 1)
    state = pipeline.plays_on()
    assert restarts(state) == 1 and all(link["balanced"] for link in state["links"])
