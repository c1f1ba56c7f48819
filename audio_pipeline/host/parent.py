"""A process that ends with whoever started it, and one that is given the orphans of those it started."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def die_with_parent(parent: int) -> None:
    """Linux: this process gets SIGKILL when the thread that started it ends; else the control socket shows it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent and os.getppid() != parent:
        os._exit(0)


_adopting = False


def adopts_orphans() -> bool:
    """Whether this process collects whatever dies below it, because it is a pipeline's own program."""
    return _adopting


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Linux: orphans below this process become its children, which it collects (`processes.reap`), as PID 1 has to.

    For a program that is one pipeline: one that embeds pipelines may have children, and other pipelines, of its own,
    whose exit status is not ours to take.
    """
    _adopt(True)
    try:
        yield
    finally:
        _adopt(False)


def _adopt(on: bool) -> None:
    global _adopting  # noqa: PLW0603 - the kernel's flag is the process's as well
    _adopting = on
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, int(on))
