"""The process around one node or a group of them: `python -m audio_pipeline.worker.main`, its jobs on standard input.

It can be started before there is a job for it: imports done, it waits, so that a restart takes
milliseconds.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import struct
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import zmq

from audio_pipeline import threads
from audio_pipeline.clock import ClockRecord, MonotonicClock
from audio_pipeline.control.notices import Failed, Log
from audio_pipeline.errors import PipelineError
from audio_pipeline.graph.job import Job, unpack_jobs
from audio_pipeline.host.parent import die_with_parent
from audio_pipeline.metrics import Board
from audio_pipeline.terminal import mend
from audio_pipeline.threads import CRASHED
from audio_pipeline.worker.build_node import build_node
from audio_pipeline.worker.control_link import ControlLink, ControlThread
from audio_pipeline.worker.ensemble import Ensemble, Member
from audio_pipeline.worker.last_notice import LastNotice, own_connection
from audio_pipeline.worker.runner import NodeRunner
from audio_pipeline.worker.scheduling import SPARE, SPARE_NICE, apply_scheduling, stand_back
from audio_pipeline.worker.slices import shorten_links


def read_jobs(source: BinaryIO | None = None) -> list[Job]:
    """The jobs from the file that `source` (standard input) names; none when the supervisor has gone. It is removed."""
    source = source or sys.stdin.buffer
    head = source.read(4)
    if len(head) < 4:
        return []
    (size,) = struct.unpack("<I", head)
    path = Path(os.fsdecode(source.read(size)))
    data = path.read_bytes()
    path.unlink(missing_ok=True)
    return unpack_jobs(data)


def run_jobs(jobs: Sequence[Job], last: LastNotice) -> int:
    """Runs the nodes to their end; returns the exit code. Why they end of themselves is the `last` notice."""
    threads.on_crash(lambda reason: last.send(jobs[0], Failed(reason, "crash", CRASHED)))
    refused = apply_scheduling(jobs[0])  # first, since threads inherit it
    context: zmq.Context[Any] = zmq.Context()
    control_thread = ControlThread(jobs, context)
    for notice in refused:
        control_thread.controls[0].notify(Log(notice))
    ensemble = Ensemble()
    try:
        return _run(context, control_thread, ensemble)
    except PipelineError as error:
        last.send(_present(jobs, ensemble), Failed(str(error), type(error).__name__, error.exit_code))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last gate: whatever it was is said before the process ends
        with contextlib.suppress(OSError):  # the disk that its log lies on may be what is full
            traceback.print_exc()
        last.send(_present(jobs, ensemble), Failed(f"{type(error).__name__}: {error}", "crash", CRASHED))
        return CRASHED
    finally:
        control_thread.close()
        context.destroy(linger=200)


def _present(jobs: Sequence[Job], ensemble: Ensemble) -> Job:
    """The job of the node whose turn it was."""
    return next(job for job in jobs if job.name == ensemble.present)


def _run(context: zmq.Context[Any], control_thread: ControlThread, ensemble: Ensemble) -> int:
    try:
        for control in control_thread.controls:
            ensemble.present = control.job.name
            ensemble.members.append(_open(control, context))
        shorten_links()
        while ensemble.members:
            ensemble.turn()
            ensemble.dismiss_stopped()
    finally:
        ensemble.close()
    return 0


def _open(control: ControlLink, context: zmq.Context[Any]) -> Member:
    """Opens a node and says that it is ready."""
    job = control.job
    board, clock = Board(Path(job.board)), ClockRecord(Path(job.clock))
    runner = NodeRunner(job, build_node(job), context, MonotonicClock(), board, clock, control.notify, control.inbox)
    runner.open()
    control.runner = runner
    control.notify(runner.ready())
    return Member(runner, control)


def main() -> int:
    """Entry point: `worker PARENT_PID [MODULE...]`, modules to import while waiting for a job."""
    mend(sys.stdout)  # what a node prints ends no node, whatever the locale
    mend(sys.stderr)
    parent = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides what Ctrl-C means
    spare = SPARE in os.environ
    if spare:
        stand_back(SPARE_NICE)
    for module in sys.argv[2:]:
        with contextlib.suppress(ImportError):  # who needs it will say so, by name
            importlib.import_module(module)
    jobs = read_jobs()
    if spare:
        stand_back(0)
    return run_jobs(jobs, LastNotice(own_connection())) if jobs else 0


if __name__ == "__main__":
    sys.exit(main())
