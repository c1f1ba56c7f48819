"""How long this machine keeps a thread waiting that wants next to nothing: what a miss can be blamed on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

EVERY_S = 0.005


class Stalls:
    """How much later than asked a thread woke up, in seconds, each time."""

    def __init__(self) -> None:
        self.late_s: list[float] = []

    @property
    def worst_s(self) -> float:
        return max(self.late_s, default=0.0)

    def longer_than(self, seconds: float) -> int:
        """How many there were."""
        return sum(late > seconds for late in self.late_s)


@contextmanager
def watched() -> Iterator[Stalls]:
    """Watches the machine for as long as the block takes."""
    stalls, ended = Stalls(), threading.Event()

    def watch() -> None:
        while not ended.is_set():
            began = time.perf_counter()
            time.sleep(EVERY_S)
            stalls.late_s.append(time.perf_counter() - began - EVERY_S)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield stalls
    finally:
        ended.set()
        thread.join()
