"""Where and how urgently a node's process runs: cores, nice, real-time priority. Linux; elsewhere it is said."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from audio_pipeline.graph.job import Job

GROUP = Path("/proc/self/autogroup")  # sched(7): each session is a group, and groups share the machine out
SPARE, SPARE_NICE = "AUDIO_PIPELINE_SPARE", 10  # a spare process imports while others play
TRIES, AGAIN_S = 40, 0.05
RT_LIMIT_US = 2_000_000  # a real-time process that computes this long without waiting is ended by the kernel


def apply_scheduling(job: Job) -> list[str]:
    """Does what the job wants; a line for each thing that this host does not allow."""
    return [f"{what} ({reason}){instead}" for what, reason, instead in _refusals(job)]


def _refusals(job: Job) -> Iterator[tuple[str, str, str]]:
    if job.cpus is not None:
        reason = _try(lambda: os.sched_setaffinity(0, job.cpus or ()))
        if reason:
            yield f"cores {list(job.cpus)} are not to be had", reason, "; it runs on any"
    if job.nice is not None:
        reason = _try(lambda: os.setpriority(os.PRIO_PROCESS, 0, job.nice or 0))
        if reason:
            now = os.getpriority(os.PRIO_PROCESS, 0)
            yield f"nice {job.nice} is not allowed here", reason, f"; it runs at {now}: see ulimit -e"
    if job.realtime is not None:
        reason = _try(lambda: _go_realtime(job.realtime or 1))
        if reason:
            what = f"real-time priority {job.realtime} is not allowed here"
            yield what, reason, "; it runs as others do: see ulimit -r"


def stand_back(nice: int) -> None:
    """Sets the nice value of this process's session among all sessions; 0 is as everybody.

    It may be raised and lowered again down to 0 without privilege, unlike a process's own. Where sessions are not
    groups (no CONFIG_SCHED_AUTOGROUP, or control groups decide), nothing changes. The kernel takes ten changes a second
    from all users together, so a refused one is tried again.
    """
    for _ in range(TRIES):
        try:
            _write(GROUP, str(nice).encode())
            return
        except BlockingIOError:
            time.sleep(AGAIN_S)
        except OSError:
            return


def _write(path: Path, data: bytes) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(number, data)
    finally:
        os.close(number)


def _try(action: Callable[[], None]) -> str:
    """Why it did not work, or an empty string."""
    try:
        action()
    except AttributeError:
        return "this system has no call for it"
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _go_realtime(priority: int) -> None:
    """SCHED_RR with a bound on its use, so that a loop that never waits cannot take the machine."""
    _, hard = resource.getrlimit(resource.RLIMIT_RTTIME)
    soft = RT_LIMIT_US if hard == resource.RLIM_INFINITY else min(RT_LIMIT_US, hard)
    resource.setrlimit(resource.RLIMIT_RTTIME, (soft, hard))
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority))
