"""What a forked process does before it is a worker: it takes over everything that a child inherits from its parent."""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from audio_pipeline.host.strays import MARK
from audio_pipeline.serving.pool_messages import MOST_MARK_BYTES, Take, is_closed

F_SETSIG = 10  # of fcntl(2), Linux
PR_SET_PDEATHSIG = 1
FIRST_FREE = 3  # descriptors beside standard input, output and error


def reserved_mark() -> dict[str, str]:
    """An environment variable with space for a mark; it has to be the last one (`set_mark`)."""
    return {MARK: "-" * MOST_MARK_BYTES}


def set_mark(text: str) -> None:
    """Writes a mark where /proc/PID/environ shows it: in place, since the kernel shows what the process began with.

    Zeros fill the rest; readers of the block stop there, so the variable must be the last. Raises ValueError where it
    does not fit.
    """
    data = text.encode(errors="surrogateescape")
    if len(data) >= MOST_MARK_BYTES:
        raise ValueError(f"mark of {len(data)} bytes, expected less than {MOST_MARK_BYTES}")
    call = ctypes.CDLL(None).getenv
    call.restype = ctypes.c_void_p
    place = call(MARK.encode())
    if not place:
        raise ValueError(f"no {MARK} in the environment that the process began with")
    ctypes.memmove(place, data.ljust(MOST_MARK_BYTES, b"\0"), MOST_MARK_BYTES)


def end_with_peer(connection: socket.socket) -> None:
    """The kernel ends this process when the other end of `connection` is closed, whatever the process does then.

    Any byte that comes ends it as well: nothing may be sent from now on. As PR_SET_PDEATHSIG is for a child, this is
    for a process that the supervisor did not start itself (fcntl(2), F_SETSIG).
    """
    number = connection.fileno()
    fcntl.fcntl(number, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(number, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(number, fcntl.F_SETFL, fcntl.fcntl(number, fcntl.F_GETFL) | os.O_ASYNC)
    if is_closed(connection):
        os._exit(0)


def end_with_parent(on: bool) -> None:
    """While a process waits in the pool it ends with the pool."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL if on else 0)


def leave_pool(kept: int) -> None:
    """Right after the fork: a session of its own, no descriptor of the pool but `kept`, and signals as at the start."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in map(int, os.listdir("/proc/self/fd")):
        if number >= FIRST_FREE and number != kept:
            with suppress(OSError):  # that of the listing itself
                os.close(number)


def print_to(path: str) -> None:
    """Standard output and error go to a file from now on. Raises OSError."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    for number in (1, 2):
        os.dup2(log, number)
    os.close(log)


def become(take: Take) -> None:
    """Takes over what a child inherits. Raises OSError, ValueError."""
    print_to(take.log)
    set_mark(take.mark)
    os.environ.clear()
    os.environ.update(take.environment)
    os.environ[MARK] = take.mark
    os.umask(take.umask)
    with suppress(OSError):  # it was removed; a child would have started there all the same
        os.chdir(take.folder)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (take.files, hard))
    if take.cpus:
        with suppress(OSError):
            os.sched_setaffinity(0, take.cpus)


def threads_now() -> int:
    """Threads of this process; more than one must not be forked."""
    return len(os.listdir("/proc/self/task"))


def is_supported() -> bool:
    """Linux with a /proc of this PID namespace; elsewhere each pipeline has its own."""
    return sys.platform == "linux" and Path(f"/proc/{os.getpid()}/environ").exists()
