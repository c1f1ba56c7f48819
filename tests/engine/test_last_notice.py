"""Why a process ended is known when its end is, though nobody reads the control socket in time."""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from audio_pipeline import threads
from audio_pipeline.control import notices
from audio_pipeline.control.codec import decode, encode
from audio_pipeline.control.notices import Failed, notice_in, packed
from audio_pipeline.serving import forked
from audio_pipeline.supervisor import forkserver_process, own_workers
from audio_pipeline.supervisor.own_workers import OwnWorkers
from audio_pipeline.supervisor.process import Child
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.supervisor.worker_spec import WorkerSpec
from audio_pipeline.threads import CRASHED
from audio_pipeline.worker.last_notice import HEAD, MOST_BYTES, MOST_CHARACTERS, LastNotice, last_in, own_connection
from tests.engine.test_job_file import job
from tests.fuzz.control import Nobody, Quiet
from tests.patience import PATIENCE_S
from tests.shared import ROOT

LONG = "é" * MOST_BYTES  # as a message that prints an array


# -- true processes, whose control socket nobody reads ---------------------------------------------------------


def started(folder: Path) -> Iterator[Child]:
    """A process of an interpreter of its own."""
    yield Child(WorkerSpec(), 1, folder)


def forked_worker(folder: Path) -> Iterator[Child]:
    """A fork of the pipeline's pool."""
    forks = OwnWorkers(WorkerSpec(), folder, lambda note: None)
    child = forks.take(1, folder, ())
    assert child is not None
    yield child
    forks.close()


@pytest.fixture(params=[started, forked_worker])
def child(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    """A worker that waits for its job."""
    if request.param is forked_worker and not forked.is_supported():
        pytest.skip("Linux")
    monkeypatch.setattr(forkserver_process, "TAKE_S", PATIENCE_S)
    monkeypatch.setattr(own_workers, "START_S", PATIENCE_S)
    make: Callable[[Path], Iterator[Child]] = request.param
    yield from make(tmp_path)


def ends(child: Child, folder: Path, control: str) -> tuple[int, Failed]:
    """Gives it the job of an unknown node; its exit code and its last notice at that moment."""
    told: queue.Queue[tuple[int, bytes | None]] = queue.Queue()
    wanted = replace(job(str(folder / "board")), kind="no such kind", control=control, clock=str(folder / "clock"))
    child.give([wanted], lambda code: told.put((code, child.last_notice)))
    code, data = told.get(timeout=PATIENCE_S)
    assert data is not None and decode(data)["node"] == "mix" and decode(data)["token"] == "t"
    notice = notice_in(decode(data))
    assert isinstance(notice, Failed)
    return code, notice


def test_the_reason_of_a_crash_is_there_with_the_exit_code(child: Child, tmp_path: Path) -> None:
    code, notice = ends(child, tmp_path, f"ipc://{tmp_path}/nobody")
    assert code == notice.exit_code == CRASHED and notice.cause == "crash"
    assert "clock" in notice.error, "the first thing that it opens is not there"


THREAD = """
import dataclasses, time
from audio_pipeline.worker import main
from audio_pipeline.worker.last_notice import LastNotice, own_connection
from tests.engine.test_job_file import job
main._run = lambda *_: time.sleep(600)
main.run_jobs([dataclasses.replace(job(), control="nowhere")], LastNotice(own_connection()))
"""


def test_a_thread_that_ends_a_process_is_named() -> None:
    """The node itself is well: nothing but its control thread fails, since its endpoint is none."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run([sys.executable, "-c", THREAD], cwd=ROOT, stdin=theirs.fileno(), check=False)
        data = last_in(ours)
    assert done.returncode == CRASHED and data is not None
    notice = notice_in(decode(data))
    assert isinstance(notice, Failed) and notice.exit_code == CRASHED
    assert notice.error.startswith("thread 'control' ended: ZMQError")


def test_one_that_is_killed_has_no_last_notice(child: Child, tmp_path: Path) -> None:
    told: queue.Queue[tuple[int, bytes | None]] = queue.Queue()
    os.kill(child.pid, 19)  # SIGSTOP: it never reads its job
    child.give([job()], lambda code: told.put((code, child.last_notice)))
    child.kill()
    assert told.get(timeout=PATIENCE_S) == (-9, None)


# -- the connection --------------------------------------------------------------------------------------------


def test_a_reason_of_any_length_waits_for_no_reader() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(0)  # sendall would raise, and be left out
        LastNotice(theirs).send(job(), Failed(LONG, "crash", CRASHED))
        data = last_in(ours)
    assert data is not None
    notice = notice_in(decode(data))
    assert isinstance(notice, Failed) and len(notice.error) == MOST_CHARACTERS


@pytest.mark.parametrize("sent", [b"", b"\1", HEAD.pack(100) + b"half", HEAD.pack(1 << 31) + bytes(1 << 17)])
def test_half_a_notice_is_none(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        theirs.send(sent)
        assert last_in(ours) is None


def test_nobody_to_tell_is_no_error() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        LastNotice(theirs).send(job(), Failed("it ended"))
    LastNotice().send(job(), Failed("it ended"))


@pytest.mark.parametrize("stdin", [subprocess.PIPE, subprocess.DEVNULL])
def test_a_worker_that_is_started_by_hand_has_no_connection(stdin: int) -> None:
    code = f"from {own_connection.__module__} import own_connection; assert own_connection() is None"
    subprocess.run([sys.executable, "-c", code], stdin=stdin, check=True)


def test_what_a_node_starts_does_not_get_the_connection() -> None:
    code = (
        f"from {own_connection.__module__} import own_connection; import os; "
        "assert own_connection() is not None; raise SystemExit(bool(os.system('read line')))"
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run([sys.executable, "-c", code], stdin=theirs.fileno(), timeout=PATIENCE_S, check=False)
    assert done.returncode, "it reads the end of its input at once"


def test_the_end_comes_whatever_happens_to_the_notice() -> None:
    code = (
        "from audio_pipeline import threads; threads.on_crash(lambda reason: 1 / 0); "
        "threads.start(lambda: {}['key'], 'disk').join()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == threads.CRASHED and "KeyError: 'key'" in done.stderr


# -- the supervisor --------------------------------------------------------------------------------------------


def die(quiet: Quiet, code: int, last: bytes | None) -> None:
    """The process of `mix` ends."""
    child = Nobody()
    child.last_notice = last
    quiet.parts.state.nodes["mix"].child = child
    quiet.workers.ended.append((child, code))
    quiet.parts.turn_processes(0.0)


def mix_of(quiet: Quiet) -> NodeRecord:
    return quiet.parts.state.nodes["mix"]


def test_the_reason_stands_in_the_incident(quiet: Quiet) -> None:
    die(quiet, CRASHED, packed(Failed("shapes differ", "crash", CRASHED), "mix", quiet.token))
    mix_of(quiet).failure = None  # as its launch does
    die(quiet, -11, None)
    assert [incident.cause for incident in quiet.parts.incidents] == ["shapes differ", "killed by signal 11"]


@pytest.mark.parametrize("last", [b"\xff", encode({"node": "mix", "token": "wrong", "op": "failed", "error": "lie"})])
def test_a_last_notice_that_is_none_is_left_out(quiet: Quiet, last: bytes) -> None:
    die(quiet, CRASHED, last)
    assert [incident.cause for incident in quiet.parts.incidents] == [f"exit code {CRASHED}"]


@pytest.mark.parametrize(
    "notice", [notices.Ready((0, 0, 0, 0), ()), notices.Ended(), notices.Resumed(), notices.Failed("before")]
)
def test_what_a_process_said_of_itself_is_not_said_of_its_successor(quiet: Quiet, notice: notices.Notice) -> None:
    record, before = mix_of(quiet), mix_of(quiet).address
    die(quiet, -9, None)
    record.child, record.ready, record.failure = Nobody(), False, None
    record.phase = Phase.ENDED if isinstance(notice, notices.Resumed) else Phase.RESTARTING
    phase = record.phase
    quiet.parts.receive(before, packed(notice, "mix", quiet.token))
    assert (record.ready, record.failure, record.phase) == (False, None, phase)


def test_what_a_process_told_the_world_is_kept_though_it_is_late(quiet: Quiet) -> None:
    before = mix_of(quiet).address
    die(quiet, -9, None)
    quiet.parts.receive(before, packed(notices.Log("the disk is full"), "mix", quiet.token))
    quiet.parts.receive(before, packed(notices.Snapshot({"leaving": 3}), "mix", quiet.token))
    assert mix_of(quiet).state == {"leaving": 3}
    assert any("the disk is full" in str(line) for line in quiet.parts.events.log_lines)
