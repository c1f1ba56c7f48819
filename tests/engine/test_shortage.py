"""Too few descriptors, too little memory, no more processes: each is an incident and ends nothing."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq

from audio_pipeline.errors import PipelineError
from audio_pipeline.links.socket_guard import SocketGuard
from audio_pipeline.supervisor import process
from audio_pipeline.supervisor.process import Child, WorkerPool
from audio_pipeline.supervisor.records import BACKOFF_S, MAX_FAILURES, Phase
from audio_pipeline.supervisor.shortage import QUIET_S, Steps, is_shortage, reason_of
from audio_pipeline.supervisor.worker_spec import WorkerSpec
from tests.fuzz.control import Quiet

EMFILE = OSError(errno.EMFILE, "Too many open files")
ENOMEM = OSError(errno.ENOMEM, "Cannot allocate memory")
EAGAIN = OSError(errno.EAGAIN, "Resource temporarily unavailable")


def refusing(error: BaseException) -> Callable[..., Any]:
    def refuse(*args: object, **more: object) -> Any:
        raise error

    return refuse


def wrapped() -> PipelineError:
    error = PipelineError("board /run/x cannot be made: No space left on device")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    return error


@pytest.mark.parametrize(
    "error",
    [
        EMFILE,
        ENOMEM,
        EAGAIN,
        MemoryError(),
        zmq.ZMQError(errno.EMFILE),
        RuntimeError("can't start new thread"),
        wrapped(),
    ],
)
def test_what_passes_is_told_from_mistakes(error: BaseException) -> None:
    assert is_shortage(error) and reason_of(error)


@pytest.mark.parametrize("error", [KeyError("mix"), RuntimeError("no such model"), OSError(errno.ENOENT, "gone")])
def test_a_mistake_is_no_shortage(error: BaseException) -> None:
    assert not is_shortage(error)


def test_the_other_steps_are_done_and_the_shortage_is_reported_once_a_minute() -> None:
    now, reports, done = [0.0], [], []
    steps = Steps(lambda name, reason: reports.append((name, reason)), lambda: now[0])
    for _ in range(100):
        assert not steps.attempt("figures", refusing(EMFILE))
        assert steps.attempt("restarts", lambda: done.append(1))
    assert reports == [("figures", "Too many open files")] and len(done) == 100
    now[0] += QUIET_S
    steps.attempt("figures", refusing(EMFILE))
    assert len(reports) == 2
    with pytest.raises(KeyError):
        steps.attempt("figures", refusing(KeyError("a mistake of ours")))


@pytest.mark.parametrize("error", [EMFILE, ENOMEM])
@pytest.mark.parametrize("step", ["messages", "sockets"])
def test_a_turn_that_meets_a_shortage_is_an_incident(
    quiet: Quiet, monkeypatch: pytest.MonkeyPatch, step: str, error: OSError
) -> None:
    supervisor = quiet.parts
    part, method = (quiet.mail, "receive") if step == "messages" else (supervisor.sockets, "turn")
    monkeypatch.setattr(part, method, refusing(error))
    supervisor.life.stop()
    supervisor.turn(time.monotonic())
    assert supervisor.life.error is None and supervisor.life.finishing_s is not None, "the rest of the turn was done"
    (incident,) = supervisor.incidents
    assert incident.node == "supervisor" and incident.cause.startswith(f"{step}: {error.strerror}")


def test_a_state_that_cannot_be_read_now_is_answered_with_a_sentence(
    quiet: Quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiet.parts.overview, "ledger", refusing(EMFILE))
    quiet.request(op="ledger")
    assert quiet.answers == [{"id": 1, "ok": False, "error": "ledger: Too many open files"}]


def test_a_death_is_seen_through_though_nothing_of_it_can_be_read(
    quiet: Quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, record = quiet.parts, quiet.parts.state.nodes["mix"]
    monkeypatch.setattr("audio_pipeline.supervisor.reaper.Reading", refusing(EMFILE))
    monkeypatch.setattr(supervisor.playhead, "boards", refusing(EMFILE))
    assert record.child is not None
    supervisor.process_manager.on_exit(record.child, -9)
    assert record.phase is Phase.RESTARTING and record.retry_s is not None and record.incarnation == 1


@pytest.mark.parametrize("error", [EMFILE, ENOMEM, EAGAIN, RuntimeError("can't start new thread")])
def test_a_process_that_the_system_refuses_is_a_failed_try_with_back_off(quiet: Quiet, error: Exception) -> None:
    supervisor, record = quiet.parts, quiet.parts.state.nodes["mix"]
    assert record.child is not None
    supervisor.process_manager.on_exit(record.child, -9)
    quiet.workers.on_launch = refusing(error)
    for _ in range(3 * MAX_FAILURES):
        supervisor.restarts.turn(float("inf"))
    assert supervisor.life.error is None and record.phase is Phase.RESTARTING, "it is not the node's fault"
    assert record.failures <= MAX_FAILURES and record.backoff_s() == BACKOFF_S[-1]
    assert reason_of(error) in list(supervisor.incidents)[-1].cause
    launched: list[str] = []
    quiet.workers.on_launch = lambda records: launched.append(records[0].name)
    supervisor.restarts.turn(float("inf"))
    assert launched == ["mix"], "there is room again"


@pytest.mark.parametrize("refused", ["write_job", "threads.start"])
def test_a_job_that_cannot_be_handed_over_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    monkeypatch.setattr(process, "pack_jobs", lambda jobs: b"job")
    monkeypatch.setattr(f"audio_pipeline.supervisor.process.{refused}", refusing(EAGAIN))
    child = Child(WorkerSpec(), 1, tmp_path)
    with pytest.raises(OSError, match="temporarily unavailable"):
        child.give([Named()], lambda code: None)  # type: ignore[list-item]
    assert not child.alive and not list(tmp_path.glob("*.job"))


class Named:
    name = "mix"


def test_a_spare_process_that_is_refused_is_tried_again_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[object] = []

    def refuse(*given: object, **more: object) -> Any:
        tries.append(given)
        raise EAGAIN

    monkeypatch.setattr(process, "Child", refuse)
    spares = WorkerPool([WorkerSpec()], tmp_path, lambda pids: None)
    assert spares.prepare(0.0) == "Resource temporarily unavailable"
    assert spares.prepare(1.0) == "" and len(tries) == 1, "not with each turn"
    assert spares.prepare(process.SPARE_AGAIN_S) and len(tries) == 2


def test_a_folder_that_cannot_be_looked_at_now_tells_of_no_stolen_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as control:
        control.bind(f"ipc://{tmp_path}/control")
        guard = SocketGuard(tmp_path, "control")
        monkeypatch.setattr(os, "scandir", refusing(EMFILE))
        assert guard.turn(10.0, {"mix": 1}) == {} and not guard.control_taken
