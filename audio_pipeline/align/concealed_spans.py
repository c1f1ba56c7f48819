"""Concealed spans of a stream: computed from input that was lost on the way."""

from __future__ import annotations

from collections import deque

MOST = 256  # spans that are remembered; the oldest go first


class ConcealedSpans:
    """Spans in whole numbers of a fine grid, or in positions: whatever the caller counts in."""

    def __init__(self) -> None:
        self._spans: deque[tuple[int, int]] = deque(maxlen=MOST)

    def __bool__(self) -> bool:
        return bool(self._spans)

    def note(self, start: int, end: int) -> None:
        """From `start` to just before `end`; neighbours are joined."""
        if self._spans and self._spans[-1][1] == start:
            start = self._spans.pop()[0]
        if end > start:
            self._spans.append((start, end))

    def first_in(self, start: int, end: int) -> int | None:
        """The first concealed position in [start, end); None if there is none."""
        found = [max(start, begin) for begin, over in self._spans if begin < end and over > start]
        return min(found, default=None)

    def discard_before(self, position: int) -> None:
        while self._spans and self._spans[0][1] <= position:
            self._spans.popleft()

    def clear(self) -> None:
        self._spans.clear()
