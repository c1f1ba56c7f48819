"""What the system allows a process, checked while an error can still be reported."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator

from audio_pipeline.errors import PipelineError

FILES, FILES_A_NODE = 64, 8  # a supervisor's own, and what a node's process, socket, log and boards may take of it
PLENTY = 4_096


def allow_files(nodes: int) -> None:
    """Raises the limit of open files as far as it goes. PipelineError where that is not enough for so many nodes.

    ZeroMQ ends the process at a connection for which there is no file descriptor, so there has to be one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited, wanted = resource.RLIM_INFINITY, FILES + FILES_A_NODE * nodes
    most = PLENTY if hard == unlimited else min(hard, max(PLENTY, wanted))
    if soft != unlimited and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    if soft != unlimited and soft < wanted:
        raise PipelineError(
            f"a process may open {soft} files here (ulimit -n), expected {wanted} or more for {nodes} nodes"
        )


RESERVE = 8  # descriptors: what starting a process takes


class Reserve:
    """A few descriptors that are held back, so that there are some for what must not fail."""

    def __init__(self, size: int = RESERVE) -> None:
        self._size = size
        self._held: list[int] = []
        self.refill()

    def refill(self) -> None:
        """As many as there are to be had."""
        with contextlib.suppress(OSError):
            while len(self._held) < self._size:
                self._held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    @contextlib.contextmanager
    def released(self) -> Iterator[None]:
        """Meanwhile they can be had."""
        self.close()
        try:
            yield
        finally:
            self.refill()

    def check(self) -> None:
        """Raises OSError where there are not as many besides: ZeroMQ ends a process that cannot take a connection."""
        another = Reserve(0)
        try:
            for _ in range(self._size):
                another._held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        finally:
            another.close()

    def close(self) -> None:
        while self._held:
            os.close(self._held.pop())
