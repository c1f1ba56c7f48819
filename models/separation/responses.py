"""How late the answers of a separator come while a graph plays, and what it may state for them from then on.

A warm-up measures inferences, not what is around them: other nodes that want the cores, the way of a frame, a host that
keeps a process waiting. Until a machine was seen at work a stall of `spec.STALL_S` is kept in hand; afterwards what the
slowest answer took, and some headroom.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

NS = 1_000_000_000
MINUTES = 10  # of which the slowest answers are remembered
MINUTE_NS = 60 * NS
SETTLE_NS = 5 * NS  # after a start or a change of rung: what is caught up with then says nothing of the rest
MISSED = 1.25  # of the time that an answer had: what one that did not come in time is taken to have needed
HEADROOM, DOUBT = 1.1, 0.4  # over the slowest answer: what stays, and what goes as minutes are added
MOST_MS = 10_000.0


class Responses:
    """The slowest answer of each minute on the stated rung, the latest minutes of this run and of those before it.

    A response is the time from the moment when a block could have been put out, had the inference taken no time, to
    the moment when it was. A minute begins anew when the stream does, or when it changes its rung. `on_minute` gets the
    slowest of each minute in seconds, once one more is full.
    """

    def __init__(self, before: Sequence[float] = (), on_minute: Callable[[list[float]], None] = lambda _: None) -> None:
        self._slowest, self._on_minute = deque(before, maxlen=MINUTES), on_minute
        self.begin_anew()

    def begin_anew(self) -> None:
        """The stream begins, or goes on at another rung."""
        self._began_ns: int | None = None
        self._worst_s = 0.0

    def note(self, now_ns: int, response_s: float) -> None:
        """A block was answered after `response_s`."""
        if self._began_ns is None:
            self._began_ns = now_ns + SETTLE_NS
        if now_ns < self._began_ns:
            return
        self._worst_s = max(self._worst_s, response_s)
        if now_ns - self._began_ns < MINUTE_NS:
            return
        self._slowest.append(self._worst_s)
        self._began_ns, self._worst_s = now_ns, 0.0
        self._on_minute(list(self._slowest))

    def note_miss(self, now_ns: int, allowed_s: float) -> None:
        """No answer came within `allowed_s`."""
        self.note(now_ns, MISSED * allowed_s)


def compute_s(slowest: Sequence[float], spare_s: float, least_s: float, careful_s: float) -> float:
    """What may be stated for computing: 10 % more than the slowest answer took, and more where few minutes are known.

    A deadline is `spare_s` later than stated. Never less than a slow inference, `least_s`, nor more than the
    `careful_s` of a machine of which nothing is known.

    >>> [round(1000 * compute_s([0.030] * minutes, 0.01, 0.015, 0.06)) for minutes in (0, 1, 2, 4, 10)]
    [60, 35, 29, 26, 24]
    """
    if not slowest:
        return careful_s
    needed_s = (HEADROOM + DOUBT / len(slowest)) * max(slowest) - spare_s
    return min(max(needed_s, least_s), careful_s)


def responses_of(entry: Any) -> list[float]:
    """Seconds from an entry of a cache file in ms; nothing where it makes no sense."""
    if not isinstance(entry, list) or len(entry) > MINUTES:
        return []
    good = all(isinstance(ms, int | float) and not isinstance(ms, bool) and 0 < ms < MOST_MS for ms in entry)
    return [ms / 1000 for ms in entry] if good else []
