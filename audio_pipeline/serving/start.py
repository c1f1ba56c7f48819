"""Finds a service of the host, or starts it: of many who try at once, one process gets the lock and serves them all."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from audio_pipeline.errors import PipelineError
from audio_pipeline.host.log_ring import last_lines
from audio_pipeline.host.strays import MARK
from audio_pipeline.serving.service import Access, Service
from audio_pipeline.worker.scheduling import SPARE

START_S = 120.0  # until it has loaded what it serves
TICK_S = 0.05
LINE_BYTES = 4_096
LOG_LINES = 5
NOT_INHERITED = (MARK, SPARE)  # a service belongs to no pipeline


def find_or_start(
    service: Service,
    module: str,
    task: Mapping[str, Any],
    stopped: Callable[[], bool] = lambda: False,
    environment: Mapping[str, str] | None = None,
) -> Access:
    """Where the service listens; it is started with `task` where none runs, its `environment` on top of ours.

    Raises PipelineError with the service's own reason where it cannot start, or where `stopped` says so.
    """
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s and not stopped():
        access = service.access() if service.is_running else start(service, module, task, stopped, environment)
        if access is not None:
            return access
        time.sleep(TICK_S)
    raise PipelineError(f"{service.path.name} was not ready within {START_S:g} s: {_log_end(service)}")


def start(
    service: Service,
    module: str,
    task: Mapping[str, Any],
    stopped: Callable[[], bool] = lambda: False,
    environment: Mapping[str, str] | None = None,
) -> Access | None:
    """Starts a process; None where another one has got the lock meanwhile. Raises PipelineError."""
    with service.log.open("ab") as log:
        try:
            child = subprocess.Popen(
                [sys.executable, "-m", module, str(service.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={**_inherited(), **(environment or {})},
            )
        except OSError as error:
            raise PipelineError(f"{service.path.name} cannot be started: {error.strerror or error}") from error
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        with suppress(BrokenPipeError):
            child.stdin.write(json.dumps(dict(task)).encode())
            child.stdin.close()
        answer = _answer(child.stdout.fileno(), stopped)
    if answer is None or "error" in answer:
        reason = answer["error"] if answer else _log_end(service)
        raise PipelineError(f"{service.path.name} did not start: {reason}")
    return service.access()


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}


def _answer(number: int, stopped: Callable[[], bool]) -> dict[str, Any] | None:
    """The line that a service prints once it is ready, or why it is not; None where it ended without one."""
    data, until_s = b"", time.monotonic() + START_S
    while time.monotonic() < until_s and not stopped() and len(data) < LINE_BYTES:
        if not select.select([number], [], [], TICK_S)[0]:
            continue
        part = os.read(number, LINE_BYTES)
        if not part or part.endswith(b"\n"):
            data += part
            break
        data += part
    try:
        found = json.loads(data)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _log_end(service: Service) -> str:
    return " / ".join(last_lines(service.log, LOG_LINES)) or "it printed nothing"


def end_hung(service: Service) -> None:
    """Ends a process that holds the lock and answers nobody; whoever comes next starts another."""
    owner = service.owner
    if owner is not None:
        with suppress(ProcessLookupError):
            os.kill(owner[0], signal.SIGKILL)
