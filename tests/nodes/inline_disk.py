"""The disk's thread without a thread: for tests that look at the files after each step, or die in the midst of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class InlineDisk:
    """As `io.disk.Disk`, in the caller's turn."""

    held_bytes, age_s = 0, 0.0

    def __init__(self, files: Any, name: str, woken: Callable[[], None] = lambda: None) -> None:
        self._files = files

    def offer(self, work: Callable[[], Any], size: int) -> bool:
        self.submit(work)
        return True

    def submit(self, work: Callable[[], Any], size: int = 0) -> None:
        work()
        self._files.flush()
        self._files.tick()

    def wait(self, held_bytes: int = 0, alive: Callable[[], None] = lambda: None) -> None:
        """All is done."""

    def close(self) -> None:
        """There is no thread."""

    def kill(self) -> None:
        """There is no thread."""
