"""Until when each block of a live separator must be put out."""

from __future__ import annotations

from typing import NamedTuple

NS = 1_000_000_000


class Limits(NamedTuple):
    """What a live separator has promised, in nanoseconds."""

    latency_ns: int  # all four terms
    spare_ns: int  # on top of it, before a deadline has passed
    fastest_ns: int  # no inference takes less
    compute_ns: int  # the part of the latency that is for computing

    @property
    def allowed_s(self) -> float:
        """Seconds from when a block could be put out at the earliest to its deadline."""
        return (self.compute_ns + self.spare_ns) / NS


class Deadlines:
    """The block at sample P is due at c(P) + latency + spare, c(P) being when sample P was captured; but no earlier
    than the pace that the first block set, so that a song which starts with a burst is not late from the start.
    The first block has no deadline, except after a replay: there old sound is worth nothing.
    """

    def __init__(self, rate: int, limits: Limits | None) -> None:
        self.limits, self._rate = limits, rate
        self.reset()

    def reset(self) -> None:
        """A new stream from sample 0 on."""
        self._received = 0
        self._capture: tuple[int, int] | None = None  # a sample and when it was captured
        self._first: tuple[int, int] | None = None  # first block put out: its start, and when
        self.replayed = 0  # samples that came for the second time

    def received(self, samples: int, captured_ns: int, *, replay: bool) -> None:
        """More sound, the newest sample of which was captured at `captured_ns`."""
        self._received += samples
        if replay:
            self.replayed = self._received
        self._capture = (self._received, captured_ns)

    def begin(self, start: int, now_ns: int) -> None:
        """The first block, which begins at `start`, is put out now."""
        if self._first is None:
            self._first = (start, now_ns)

    def due_ns(self, start: int) -> int | None:
        """When the block at a sample must be put out; None for no deadline."""
        promised = self.promised_ns(start)
        if promised is None or self.limits is None or (self._first is None and not self.replayed):
            return None
        if self._first is None:
            return promised
        return max(promised, self._first[1] + self._ns(start - self._first[0]) + self.limits.spare_ns)

    def promised_ns(self, start: int) -> int | None:
        """The same by the stated latency alone."""
        if self.limits is None or self._capture is None:
            return None
        sample, captured_ns = self._capture
        return captured_ns + self._ns(start - sample) + self.limits.latency_ns + self.limits.spare_ns

    def response_s(self, start: int, now_ns: int) -> float | None:
        """How long after the block at a sample could have been put out, had computing taken no time; None at a start,
        and of sound that a predecessor had before."""
        promised = self.promised_ns(start)
        if promised is None or self.limits is None or self._first is None or start < self.replayed:
            return None
        return (now_ns - promised) / NS + self.limits.allowed_s

    def left(self, start: int, now_ns: int) -> float | None:
        """The share of the time to compute, as it was promised, that is left before the deadline."""
        due = self.due_ns(start)
        if due is None or self.limits is None:
            return None
        return (due - now_ns) / (self.limits.compute_ns + self.limits.spare_ns)

    def _ns(self, samples: int) -> int:
        return samples * NS // self._rate
