"""Workers from the host's pool: as a child would be, and gone with whoever took them."""

from __future__ import annotations

import os
import queue
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from audio_pipeline.errors import PipelineError, WireError
from audio_pipeline.host.strays import end_strays, note, strays
from audio_pipeline.packed import dumps
from audio_pipeline.serving import forked, forked_worker, pool_client
from audio_pipeline.serving.pool_client import MODULE, HostPool, pool_key
from audio_pipeline.serving.pool_messages import Ended, Hold, Take, parse
from audio_pipeline.serving.service import Access, Service
from audio_pipeline.serving.start import find_or_start
from audio_pipeline.supervisor.pooled import PooledChild, PooledWorkers
from audio_pipeline.supervisor.process import WorkerPool
from audio_pipeline.supervisor.worker_spec import WorkerSpec
from audio_pipeline.threads import CRASHED
from tests.engine.test_job_file import job
from tests.patience import PATIENCE_S
from tests.serving.conftest import wait_for_end

pytestmark = pytest.mark.skipif(not forked.is_supported(), reason="Linux")


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def pool(runtime: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[PooledWorkers]:
    monkeypatch.setattr(pool_client, "TAKE_S", PATIENCE_S)
    made = PooledWorkers(WorkerSpec(), notes.append)
    assert made.maintain(0), notes
    yield made
    made.close()


@pytest.fixture
def folder(runtime: Path) -> Path:
    """A pipeline's runtime folder."""
    made = runtime / "audio-pipeline" / "run"
    made.mkdir(mode=0o700, parents=True)
    made.parent.chmod(0o700)
    return made


def take(pool: PooledWorkers, folder: Path, number: int = 1) -> PooledChild:
    child = pool.take(number, folder, ())
    assert isinstance(child, PooledChild), pool.maintain(0)
    return child


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


def access() -> Access:
    found = Service("pool", pool_key()).access()
    assert found is not None
    return found


def test_a_worker_takes_over_what_a_child_inherits(
    pool: PooledWorkers, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SONG", "of today")
    child = take(pool, folder, 7)
    assert os.getpgid(child.pid) == os.getsid(child.pid) == child.pid
    crash = queue.Queue[int]()
    child.give([job()], crash.put)
    assert crash.get(timeout=PATIENCE_S) == CRASHED  # the job leads nowhere
    assert "Traceback" in "\n".join(child.last_lines(50))
    assert child.log.name == "worker-7.log" and child.collected


def test_it_is_known_by_its_mark(pool: PooledWorkers, folder: Path) -> None:
    child, other = take(pool, folder, 1), take(pool, folder, 2)
    note(folder, {1: child.pid, 2: other.pid})
    assert list(strays(folder.parent)) == []  # the supervisor lives, and so do the processes that it noted
    assert end_strays(folder, 1) == [child.pid]
    assert child.wait(PATIENCE_S)
    assert other.alive
    other.kill()
    assert other.wait(PATIENCE_S)


def test_it_ends_with_its_supervisor_whatever_it_does(pool: PooledWorkers, folder: Path) -> None:
    child = take(pool, folder)
    child._connection.close()  # as the kernel does when a supervisor dies
    wait_for_end(child.pid)


def test_the_kernel_ends_a_process_when_the_other_end_is_closed() -> None:
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        forked.end_with_peer(theirs)
        while True:
            pass
    theirs.close()
    ours.close()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) in (-signal.SIGKILL, 0)


def test_a_kill_is_reported_with_its_signal(pool: PooledWorkers, folder: Path) -> None:
    child = take(pool, folder)
    ended = queue.Queue[int]()
    threading.Thread(target=lambda: ended.put(child._watch())).start()
    child.kill()
    assert ended.get(timeout=PATIENCE_S) == -signal.SIGKILL
    assert child.wait(PATIENCE_S) and not child.alive


def test_workers_outlive_the_pool_and_their_end_is_seen(pool: PooledWorkers, folder: Path, notes: list[str]) -> None:
    child = take(pool, folder)
    pool_pid = parent_of(child.pid)
    os.kill(pool_pid, signal.SIGKILL)
    wait_for_end(pool_pid)
    assert child.alive
    child.kill()
    assert child.wait(PATIENCE_S) and child._end() == CRASHED
    assert "its exit code is unknown" in child.log.read_text()


def test_without_a_pool_a_pipeline_starts_its_own(pool: PooledWorkers, folder: Path, notes: list[str]) -> None:
    workers = WorkerPool([WorkerSpec()], folder, lambda pids: None, pool)
    shared = workers.take()
    pool_pid = parent_of(shared.pid)
    os.kill(pool_pid, signal.SIGKILL)
    wait_for_end(pool_pid)
    own = workers.take()
    assert not isinstance(own, PooledChild) and parent_of(own.pid) == os.getpid()
    assert [child.number for child in (shared, own)] == [1, 2]
    for child in (shared, own):
        child.kill()
        assert child.wait(PATIENCE_S)
    pool.maintain(0)
    assert notes


def test_two_that_start_at_once_share_one(runtime: Path) -> None:
    found = queue.Queue[Access]()

    def find() -> None:
        service = Service("pool", {"of": "two"})
        found.put(find_or_start(service, MODULE, {}, environment=forked.reserved_mark()))

    pools = [threading.Thread(target=find) for _ in range(3)]
    for each in pools:
        each.start()
    first, second, third = (found.get(timeout=PATIENCE_S) for _ in pools)
    assert first == second == third


def test_it_ends_after_its_last_user_and_leaves_nothing_to_be_found(runtime: Path, folder: Path) -> None:
    pool = PooledWorkers(WorkerSpec(), lambda reason: None)
    child = take(pool, folder)
    pool_pid = parent_of(child.pid)
    pool.close()
    assert child.alive
    child.kill()
    assert child.wait(PATIENCE_S)
    wait_for_end(pool_pid)
    service = Service("pool", pool_key())
    assert service.access() is None and not service.is_running


def test_the_socket_and_the_token_are_private(pool: PooledWorkers) -> None:
    path = Path(access().path)
    modes = [
        stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent, path.parent.parent, path.with_name("access"))
    ]
    assert modes == [0o600, 0o700, 0o700, 0o600]


@pytest.mark.parametrize("message", [Hold("guess"), Hold(""), b"", b"\xff" * 40])
def test_nobody_gets_a_worker_without_the_token(
    pool: PooledWorkers, folder: Path, message: Hold | bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    thief = HostPool((), {})
    thief._access = Access(access().path, getattr(message, "token", "guess"))
    assert thief.take((), folder / "log", "mark") is None
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(access().path)
        data = message if isinstance(message, bytes) else dumps({"token": message.token})
        connection.sendall(len(data).to_bytes(4, "little") + data)
        assert connection.recv(1) == b""  # it is closed at once
    child = take(pool, folder)  # and the pool serves on
    child.kill()
    assert child.wait(PATIENCE_S)


@pytest.mark.parametrize(
    ("data", "kind", "reason"),
    [
        (dumps({"token": 7}), Hold, "token: expected text, got 7"),
        (dumps({"token": "t", "preload": "x"}), Hold, "preload: expected a list"),
        (dumps({"code": 0, "more": 1}), Ended, "unknown key"),
        (dumps([]), Ended, "expected a map"),
    ],
)
def test_messages_are_checked(data: bytes, kind: type, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        parse(data, kind)


def test_modules_of_other_packages_are_left_to_a_warm_process() -> None:
    assert forked_worker.heavy(("audio_pipeline.nodes.mixer", "torch", "audio_pipeline.files.player")) == ("torch",)


def test_a_warm_process_takes_over_as_a_fork_does(tmp_path: Path) -> None:
    """It waits with what takes long imported, and is a worker once a connection comes."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        forked_worker.end_process(
            lambda: forked_worker.begin(lambda: forked_worker.wait_warm(("wave",), theirs), theirs)
        )
    theirs.close()
    connection, kept = socket.socketpair()
    request = Take("t", ("wave",), str(tmp_path / "log"), "mark", dict(os.environ), str(tmp_path), 0o077, 64)
    data = dumps(asdict(request))
    socket.send_fds(ours, [len(data).to_bytes(4, "little")], [connection.fileno()])
    ours.sendall(data)
    ours.close()
    connection.close()
    kept.close()  # the supervisor ends before it gives a job
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) in (0, CRASHED)
    assert (tmp_path / "log").exists()


def test_a_mark_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="mark of 600 bytes"):
        forked.set_mark("m" * 600)


def test_no_pool_is_a_reason_and_no_error(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons: list[str] = []
    monkeypatch.setattr("audio_pipeline.serving.pool_client.is_supported", lambda: False)
    pool = PooledWorkers(WorkerSpec(), reasons.append)
    assert pool.take(1, runtime, ()) is None
    assert not pool.maintain(0) and reasons == ["a pool of workers needs Linux"]


def test_a_service_that_cannot_start_says_why(runtime: Path) -> None:
    with pytest.raises(PipelineError, match="did not start: .*No module named"):
        find_or_start(Service("pool", {"of": "none"}), "audio_pipeline.serving.nothing", {})
