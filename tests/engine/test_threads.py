"""A thread that ends by an exception ends its process, or goes to whoever asked for it."""

from __future__ import annotations

import errno
import queue
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from audio_pipeline import threads
from audio_pipeline.supervisor.process import Child
from audio_pipeline.supervisor.worker_spec import WorkerSpec
from tests.patience import PATIENCE_S


def fail() -> None:
    raise MemoryError("no more")


def run(lines: str) -> subprocess.CompletedProcess[str]:
    """A process that would wait for an hour beside its thread."""
    program = f"import threading\nfrom audio_pipeline import threads\n{lines}\nthreading.Event().wait(3600)"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def test_an_exception_ends_the_process_and_is_printed() -> None:
    ended = run("threads.start(lambda: 1 / 0, 'gateway')")
    assert ended.returncode == threads.CRASHED
    assert "thread 'gateway' ended" in ended.stderr and "ZeroDivisionError" in ended.stderr


def test_the_process_ends_where_nothing_can_be_printed() -> None:
    assert run("import sys; sys.stderr.close(); threads.start(lambda: 1 / 0, 'gateway')").returncode == threads.CRASHED


def test_leaving_by_exit_is_no_way_to_end_alone() -> None:
    assert run("import sys; threads.start(sys.exit, 'gateway')").returncode == threads.CRASHED


def test_whoever_asks_for_the_error_gets_it() -> None:
    seen: list[BaseException] = []
    threads.start(fail, "progress", on_error=seen.append).join()
    assert [str(error) for error in seen] == ["no more"]


def test_an_error_in_the_answer_to_an_error_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[BaseException] = []
    monkeypatch.setattr(threads, "end_process", ended.append)

    def worse(error: BaseException) -> None:
        raise RuntimeError("worse") from error

    threads.start(fail, "progress", on_error=worse).join()
    assert [str(error) for error in ended] == ["worse"]


def test_what_a_close_does_to_a_thread_ends_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[BaseException] = []
    monkeypatch.setattr(threads, "end_process", ended.append)
    stop = threading.Event()
    threads.start(fail, "feed", stop=stop).join()
    assert len(ended) == 1
    stop.set()
    threads.start(fail, "feed", stop=stop).join()
    assert len(ended) == 1


@pytest.mark.parametrize("refused", ["os.waitid", "audio_pipeline.supervisor.process.end_strays"])
def test_the_end_of_a_node_is_told_whatever_the_system_refuses(
    refused: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("audio_pipeline.supervisor.process.pack_jobs", lambda jobs: b"")
    child = Child(WorkerSpec(), 1, tmp_path)
    monkeypatch.setattr(refused, no_more)
    told: queue.Queue[int] = queue.Queue()
    child.give([SimpleNamespace(name="mix")], told.put)  # type: ignore[list-item]
    child.kill()
    told.get(timeout=PATIENCE_S)
    assert child.wait(PATIENCE_S)
