"""Forks of the pool, and those made ahead: processes that have imported what takes long, and wait for a job."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass

from audio_pipeline.host.processes import exit_code
from audio_pipeline.serving.forked_worker import begin, end_process, wait_warm

MOST_WARM = 4  # sets of modules for which a process waits
HAND_OVER_S = 1.0
WARM_AFTER_S = 2.0  # a song begins in the moment when the machine has most to do
AGAIN_S = 5.0  # after one that has ended

Modules = tuple[str, ...]


def fork(work: Callable[[], int], kept: socket.socket) -> int:
    """The id of a process that runs `work`, once it has a session of its own and can be ended as a group.

    Raises OSError where the system refuses one.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    try:
        pid = os.fork()
        if pid == 0:
            end_process(lambda: begin(work, kept))
    except OSError:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    os.read(reader, 1)  # closed by `leave_pool`
    os.close(reader)
    return pid


def kill(pid: int) -> None:
    """Ends a fork, and what it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


@dataclass
class _Warm:
    pid: int
    channel: socket.socket


class WarmWorkers:
    """One process for each set of modules that somebody wants it for, made a while after the last request."""

    def __init__(self) -> None:
        self._waiting: dict[Modules, _Warm] = {}
        self._not_before_s = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def hand_over(self, modules: Collection[str], data: bytes, connection: socket.socket) -> int:
        """Gives a request's connection to a process that has these modules: its id, 0 for none there or none needed."""
        found = next((warm for warm in self._waiting if modules and set(modules) <= set(warm)), None)
        if found is None:
            return 0
        warm = self._waiting.pop(found)
        try:
            with warm.channel:
                socket.send_fds(warm.channel, [len(data).to_bytes(4, "little")], [connection.fileno()])
                warm.channel.sendall(data)
        except OSError:
            kill(warm.pid)
            return 0
        return warm.pid

    def rest(self, now_s: float, seconds: float = WARM_AFTER_S) -> None:
        """The machine has something else to do for so long."""
        self._not_before_s = now_s + seconds

    def prepare(self, wanted: Iterable[Modules], now_s: float) -> None:
        """Ends those that nobody wants any more, and makes one that is missing."""
        most = list(dict.fromkeys(modules for modules in wanted if modules))[:MOST_WARM]
        for modules in [modules for modules in self._waiting if modules not in most]:
            kill(self._waiting.pop(modules).pid)
        missing = [modules for modules in most if modules not in self._waiting]
        if missing and now_s >= self._not_before_s:
            self.rest(now_s, AGAIN_S)
            with suppress(OSError):  # it is only ahead of need: whoever needs one is told
                self._make(missing[0])
                self.rest(now_s)

    def _make(self, modules: Modules) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                pid = fork(lambda: wait_warm(modules, theirs), theirs)
        except OSError:
            ours.close()
            raise
        ours.settimeout(HAND_OVER_S)
        self._waiting[modules] = _Warm(pid, ours)

    def collect(self, now_s: float) -> None:
        """Takes note of those that have ended."""
        for modules in [modules for modules, warm in self._waiting.items() if exit_code(warm.pid) is not None]:
            os.waitpid(self._waiting.pop(modules).pid, 0)
            self.rest(now_s, AGAIN_S)

    def close(self) -> None:
        """Ends them all."""
        for warm in self._waiting.values():
            kill(warm.pid)
