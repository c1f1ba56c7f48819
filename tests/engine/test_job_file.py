"""A job reaches its process whatever its size, and nobody else reads it."""

from __future__ import annotations

import io
import os
import queue
import stat
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from audio_pipeline.graph.job import Job, pack_jobs
from audio_pipeline.supervisor import process
from audio_pipeline.supervisor.job_file import HEAD, write_job
from audio_pipeline.supervisor.process import Child
from audio_pipeline.supervisor.worker_spec import WorkerSpec
from audio_pipeline.worker import main as worker
from tests.patience import PATIENCE_S

LARGE = 8 << 20  # a snapshot that no pipe holds


def job(board: str = "b", **over: Any) -> Job:
    return Job(
        name="mix",
        kind="sum",
        settings={},
        input_settings={},
        rate=48_000,
        frame_samples=480,
        live=True,
        folder="",
        token="t",
        board=board,
        clock="c",
        inputs=(),
        outputs=(),
        **over,
    )


def test_a_job_of_any_size_is_handed_over_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process never reads its standard input: before, the supervisor waited for it in `write`."""
    monkeypatch.setattr(process, "command", lambda *_: [sys.executable, "-c", "import time; time.sleep(600)"])
    child = Child(WorkerSpec(), 1, tmp_path)
    gone: queue.Queue[int] = queue.Queue()
    child.give([job(state={"past": bytes(LARGE)})], gone.put)
    file = tmp_path / "worker-1.job"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and file.stat().st_size > LARGE
    child.kill()
    gone.get(timeout=PATIENCE_S)
    assert not file.exists(), "nobody will read it"


def test_the_worker_reads_the_file_and_removes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [job(state={"past": bytes(LARGE)}), job(epoch=2)]
    message = write_job(tmp_path / "worker-1.job", pack_jobs(wanted))
    assert len(message) < 4096, "one write to a pipe"
    monkeypatch.setattr(worker.sys, "stdin", SimpleNamespace(buffer=io.BytesIO(message)))  # type: ignore[attr-defined]
    assert worker.read_jobs() == wanted and not list(tmp_path.iterdir())


def test_a_supervisor_that_has_gone_leaves_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker.sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"\0\0")))  # type: ignore[attr-defined]
    assert worker.read_jobs() == []


def test_a_file_that_is_there_already_is_not_written_to(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    (tmp_path / "worker-1.job").symlink_to(theirs)
    with pytest.raises(OSError):
        write_job(tmp_path / "worker-1.job", b"secret")
    assert not theirs.exists()


def test_a_path_of_any_bytes_arrives(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.job")
    message = write_job(path, b"job")
    assert Path(os.fsdecode(message[HEAD.size :])).read_bytes() == b"job"
