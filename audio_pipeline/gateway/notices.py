"""Sentences for a node's log: bounded in number, and in how many a second."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from audio_pipeline.gateway.budget import Budget


class Notices(deque[str]):
    """The newest notices, oldest first. One thread adds them, another drains them."""

    def __init__(self, most: int, *, rate: float = 20.0, burst: float = 20.0) -> None:
        super().__init__(maxlen=most)
        self._budget = Budget(rate, burst)

    def add(self, sentence: str, now_s: float) -> bool:
        """False where there were too many of late: the log is no place for others to fill."""
        if not self._budget.take(1, now_s):
            return False
        self.append(sentence)
        return True

    def drain(self) -> Iterator[str]:
        """Each notice once."""
        while self:
            yield self.popleft()
