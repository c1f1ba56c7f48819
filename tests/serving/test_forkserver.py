"""The process that forks a pipeline's own workers: what they are, and what its death leaves."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import queue
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from audio_pipeline.host.parent import PR_SET_CHILD_SUBREAPER
from audio_pipeline.host.processes import reap
from audio_pipeline.host.strays import MARK, Mark, end_strays, note, strays
from audio_pipeline.serving import forked, forker
from audio_pipeline.serving.pool_messages import Take, Taken, receive
from audio_pipeline.serving.warm_workers import AGAIN_S, WarmWorkers
from audio_pipeline.supervisor import forkserver_process, own_workers
from audio_pipeline.supervisor.own_workers import OwnWorkers
from audio_pipeline.supervisor.pooled import PooledChild
from audio_pipeline.supervisor.process import WorkerPool
from audio_pipeline.supervisor.worker_spec import WorkerSpec
from audio_pipeline.threads import CRASHED
from tests.engine.test_job_file import job
from tests.patience import PATIENCE_S
from tests.serving.conftest import wait_for_end

pytestmark = pytest.mark.skipif(not forked.is_supported(), reason="Linux")

KINDS = WorkerSpec(preload=("audio_pipeline.nodes.mixer",))


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def folder(runtime: Path) -> Path:
    """A pipeline's runtime folder."""
    made = runtime / "audio-pipeline" / "run"
    made.mkdir(mode=0o700, parents=True)
    made.parent.chmod(0o700)
    return made


@pytest.fixture
def forks(folder: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnWorkers]:
    monkeypatch.setattr(forkserver_process, "TAKE_S", PATIENCE_S)
    monkeypatch.setattr(own_workers, "START_S", PATIENCE_S)
    made = OwnWorkers(KINDS, folder, notes.append)
    yield made
    made.close()


def take(forks: OwnWorkers, folder: Path, number: int = 1) -> PooledChild:
    child = forks.take(number, folder, KINDS.preload)
    assert isinstance(child, PooledChild), forks.maintain(0)
    return child


def end(child: PooledChild) -> None:
    child.kill()
    assert child.wait(PATIENCE_S)


def status(pid: int, key: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(line.split()[1] for line in lines if line.startswith(key))


def server_of(forks: OwnWorkers) -> int:
    (pid,) = forks.pids
    return pid


def kill_server(forks: OwnWorkers) -> int:
    pid = server_of(forks)
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    return pid


def test_a_worker_is_a_fork_in_a_session_of_its_own(forks: OwnWorkers, folder: Path) -> None:
    child = take(forks, folder, 3)
    assert status(child.pid, "PPid") == str(server_of(forks)) and status(server_of(forks), "PPid") == str(os.getpid())
    assert os.getpgid(child.pid) == os.getsid(child.pid) == child.pid
    assert status(server_of(forks), "Threads") == "1", "it forks"
    end(child)


def test_its_end_is_seen_with_its_code_and_its_lines(forks: OwnWorkers, folder: Path) -> None:
    child, codes = take(forks, folder, 7), queue.Queue[int]()
    child.give([job(str(folder / "b"))], codes.put)
    assert codes.get(timeout=PATIENCE_S) == CRASHED  # the job leads nowhere
    assert "Traceback" in "\n".join(child.last_lines(50)) and child.log.name == "worker-7.log"


def test_both_bear_the_mark_of_the_run(forks: OwnWorkers, folder: Path) -> None:
    """So that what they leave is found at the next start."""
    child = take(forks, folder, 5)
    wait_for_imports(child)  # it has a mark of its own from then on
    for pid, number in ((server_of(forks), 0), (child.pid, 5)):
        block = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        (text,) = [item.partition(b"=")[2].decode() for item in block if item.startswith(MARK.encode() + b"=")]
        found = Mark.parsed(text)
        assert found is not None and (found.pid, found.number, found.folder) == (os.getpid(), number, folder)
    note(folder, {5: child.pid})
    assert list(strays(folder.parent)) == []
    assert end_strays(folder, 5) == [child.pid]
    assert child.wait(PATIENCE_S)


def test_a_worker_has_what_the_supervisor_has_now(
    forks: OwnWorkers, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folder, limits and cores, as a child would; no descriptor of another worker."""
    monkeypatch.chdir(tmp_path)
    first, child = take(forks, folder, 1), take(forks, folder, 2)
    codes = queue.Queue[int]()
    wait_for_imports(child)
    assert os.readlink(f"/proc/{child.pid}/cwd") == str(tmp_path)
    assert os.readlink(f"/proc/{child.pid}/fd/0") == os.devnull
    links = [os.readlink(path) for path in Path(f"/proc/{child.pid}/fd").iterdir()]
    assert sum(link.startswith("socket:") for link in links) == 1, links
    child.give([job(str(folder / "b"))], codes.put)
    assert codes.get(timeout=PATIENCE_S) == CRASHED
    end(first)


def wait_for_imports(child: PooledChild) -> None:
    """Until it has taken over what a child inherits: it is asleep, waiting for its job."""
    while "worker-" not in os.readlink(f"/proc/{child.pid}/fd/1") or status(child.pid, "State") != "S":
        pass


def test_workers_outlive_it_and_the_next_one_is_started_at_once(
    forks: OwnWorkers, folder: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_workers, "AGAIN_S", 0.0)
    child = take(forks, folder)
    before = kill_server(forks)
    assert forks.take(2, folder, KINDS.preload) is None, "there is none: the caller starts a child"
    assert forks.maintain(1e9) and server_of(forks) != before
    assert notes == ["the process that forks workers is lost (it has ended): all else plays on"]
    assert child.alive
    other = None
    while other is None:  # it is never waited for: it imports while the caller does without
        assert not notes[1:]
        other = forks.take(3, folder, KINDS.preload)
    assert other.alive and status(other.pid, "PPid") == str(server_of(forks))
    for each in (child, other):
        end(each)


def test_a_pipeline_does_without_until_it_is_back(forks: OwnWorkers, folder: Path) -> None:
    workers = WorkerPool([KINDS], folder, lambda pids: None, forks)
    first = workers.take()
    kill_server(forks)
    second = workers.take()
    assert isinstance(first, PooledChild) and not isinstance(second, PooledChild)
    assert status(second.pid, "PPid") == str(os.getpid())
    assert [child.number for child in (first, second)] == [1, 2]
    for child in (first, second):
        child.kill()
        assert child.wait(PATIENCE_S)


@contextlib.contextmanager
def subreaper() -> Iterator[None]:
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    yield
    prctl(PR_SET_CHILD_SUBREAPER, 0)


def test_the_end_of_an_orphan_that_came_to_us_is_seen_with_its_signal(forks: OwnWorkers, folder: Path) -> None:
    """As PID 1 in a container: the orphan of a dead forkserver is ours to collect, and its id stays until then."""
    workers = WorkerPool([KINDS], folder, lambda pids: None, forks)
    with subreaper():
        child, codes = workers.take(), queue.Queue[int]()
        kill_server(forks)
        assert status(child.pid, "PPid") == str(os.getpid())
        child.kill()
        wait_for_end(child.pid)
        assert child.pid in workers.pids and reap(workers.pids) == []
        child.give([job(str(folder / "b"))], codes.put)
        assert codes.get(timeout=PATIENCE_S) == -signal.SIGKILL
        assert child.pid not in workers.pids


def test_one_that_does_not_answer_is_ended_and_replaced(
    forks: OwnWorkers, folder: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    child = take(forks, folder)
    monkeypatch.setattr(forkserver_process, "TAKE_S", 0.01)
    before = server_of(forks)
    os.kill(before, signal.SIGSTOP)
    assert forks.take(2, folder, KINDS.preload) is None
    assert forks.maintain(1e9) and server_of(forks) != before and "timed out" in notes[0]
    assert child.alive
    end(child)


PROGRAM = """
import os, sys, time
from pathlib import Path
from audio_pipeline.supervisor.own_workers import OwnWorkers
from audio_pipeline.supervisor.worker_spec import WorkerSpec
folder = Path(sys.argv[1])
forks = OwnWorkers(WorkerSpec(), folder, print)
child = forks.take(1, folder, ())
if os.fork() == 0:  # a child of the program's own, which has a copy of every descriptor
    time.sleep(600)
print(child.pid, *forks.pids, flush=True)
sys.stdin.read()
"""


def test_all_end_with_the_supervisor_also_where_its_descriptors_live_on(folder: Path) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    with program:
        assert program.stdout is not None
        worker, server = map(int, program.stdout.readline().split())
        program.kill()
        program.wait()
        for pid in (worker, server):
            wait_for_end(pid)
        os.killpg(program.pid, signal.SIGKILL)


def test_it_ends_with_the_pipeline(forks: OwnWorkers) -> None:
    pid = server_of(forks)
    forks.close()
    assert not Path(f"/proc/{pid}").exists() and forks.pids == frozenset() and forks.logs == []


def test_one_that_was_started_early_is_the_first_pipelines(folder: Path, notes: list[str]) -> None:
    """It belongs to no pipeline before its job, which brings mark and log; the second pipeline gets one of its own."""
    with forkserver_process.early_forkserver():
        (early,) = forkserver_process._early
        first, second = OwnWorkers(KINDS, folder, notes.append), OwnWorkers(KINDS, folder, notes.append)
        assert server_of(first) == early.pid != server_of(second)
        child = take(first, folder)
        assert os.readlink(f"/proc/{early.pid}/fd/1") == str(folder / own_workers.LOG)
        end(child)
        for each in (first, second):
            each.close()
    assert not notes


def test_one_that_was_started_early_for_nothing_ends() -> None:
    with forkserver_process.early_forkserver():
        (early,) = forkserver_process._early
    assert not Path(f"/proc/{early.pid}").exists() and forkserver_process.claim() is None


def refuse(*_: object) -> int:
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def test_where_the_system_refuses_a_process_the_answer_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a limit on processes. No descriptor of the try is kept, and the forker goes on."""
    monkeypatch.setattr(os, "fork", refuse)
    monkeypatch.setattr(forker, "import_own", lambda preload: "")  # this process has threads
    ours, theirs = socket.socketpair()
    made, before = forker.Forker(), set(os.listdir("/proc/self/fd"))
    take = Take("", (), str(folder / "log"), "mark", {}, str(folder), 0o77, 512)
    made.take(take, b"", theirs, 0.0)
    with ours:
        assert receive(ours, Taken) == Taken(reason="it cannot fork: Resource temporarily unavailable")
    assert len(made) == 0 and set(os.listdir("/proc/self/fd")) < before


def test_what_cannot_be_made_ahead_of_need_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[float] = []

    def fork(*given: object) -> int:
        tries.append(now_s)
        return refuse()

    monkeypatch.setattr(os, "fork", fork)
    warm, before = WarmWorkers(), os.listdir("/proc/self/fd")
    for now_s in (0.0, 1.0, AGAIN_S - 0.1, AGAIN_S, 2 * AGAIN_S - 0.1):
        warm.prepare([("json",)], now_s)
    assert tries == [0.0, AGAIN_S] and len(warm) == 0
    assert os.listdir("/proc/self/fd") == before
