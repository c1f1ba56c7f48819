"""A process of the pool from its fork to its end: a worker that waits for its job, or one that is warm for it."""

from __future__ import annotations

import importlib
import os
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

from audio_pipeline.serving.forked import become, end_with_parent, end_with_peer, leave_pool
from audio_pipeline.serving.pool_messages import Take, exactly, parse
from audio_pipeline.threads import CRASHED
from audio_pipeline.worker.last_notice import LastNotice
from audio_pipeline.worker.main import read_jobs, run_jobs
from audio_pipeline.worker.scheduling import SPARE_NICE, stand_back

OWN = "audio_pipeline."


def heavy(preload: Sequence[str]) -> tuple[str, ...]:
    """Modules of other packages: those may start threads, so the pool itself does not import them."""
    return tuple(module for module in preload if not module.startswith(OWN))


def end_process(work: Callable[[], int]) -> NoReturn:
    """Runs a forked process to its end; nothing of the pool's own ending happens in it."""
    code = CRASHED
    try:
        code = work()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - the last gate: its log has the traceback
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def begin(work: Callable[[], int], kept: socket.socket) -> int:
    leave_pool(kept.fileno())
    return work()


def work_for(take: Take, connection: socket.socket) -> int:
    """A worker: takes over, waits for its job, and ends with its supervisor."""
    become(take)
    connection.settimeout(None)
    for module in heavy(take.preload):
        with suppress(ImportError):
            importlib.import_module(module)
    jobs = read_jobs(connection.makefile("rb"))
    if not jobs:
        return 0
    end_with_peer(connection)
    return run_jobs(jobs, LastNotice(connection))


def wait_warm(preload: Sequence[str], channel: socket.socket) -> int:
    """Imports behind everything else, waits for a connection, and is a worker from then on."""
    end_with_parent(True)
    stand_back(SPARE_NICE)
    for module in preload:
        with suppress(ImportError):
            importlib.import_module(module)
    head, descriptors, _, _ = socket.recv_fds(channel, 4, 1)
    if len(head) < 4 or not descriptors:
        return 0
    data = exactly(channel, int.from_bytes(head, "little"))
    end_with_parent(False)
    stand_back(0)
    os.set_inheritable(descriptors[0], False)
    return work_for(parse(data, Take), socket.socket(fileno=descriptors[0]))
