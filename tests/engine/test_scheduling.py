"""A spare process stands back behind what plays, in the group of its session, until it gets a job."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from audio_pipeline.worker import scheduling
from audio_pipeline.worker.scheduling import SPARE, SPARE_NICE, stand_back

ENABLED = Path("/proc/sys/kernel/sched_autogroup_enabled")


@pytest.mark.skipif(
    not ENABLED.exists() or ENABLED.read_text(encoding="utf-8").strip() != "1", reason="sessions are no groups here"
)
def test_a_spare_imports_behind_everybody_and_works_like_everybody(tmp_path: Path) -> None:
    """What is imported beforehand sees the one, what comes after the job the other."""
    (tmp_path / "seen.py").write_text("print(open(f'/proc/self/autogroup').read(), flush=True)")
    code = (
        "import sys; from audio_pipeline.worker import main; "
        "main.run_jobs = lambda jobs, last: exec(open('seen.py').read()); main.read_jobs = lambda: ['a job']; "
        f"sys.argv = ['worker', '{os.getpid()}', 'seen']; main.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, SPARE: "1", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )
    assert re.findall(r"nice (-?\d+)", done.stdout) == [str(SPARE_NICE), "0"]


def test_a_change_that_the_kernel_puts_off_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []

    def write(path: Path, data: bytes) -> None:
        written.append(data)
        if len(written) < 3:
            raise BlockingIOError

    monkeypatch.setattr(scheduling, "_write", write)
    monkeypatch.setattr(scheduling.time, "sleep", lambda _: None)
    stand_back(0)
    assert written == [b"0"] * 3


@pytest.mark.parametrize("error", [FileNotFoundError, PermissionError, BlockingIOError])
def test_where_there_are_no_groups_nothing_changes(error: type[OSError], monkeypatch: pytest.MonkeyPatch) -> None:
    def write(path: Path, data: bytes) -> None:
        raise error

    monkeypatch.setattr(scheduling, "_write", write)
    monkeypatch.setattr(scheduling.time, "sleep", lambda _: None)
    stand_back(SPARE_NICE)
