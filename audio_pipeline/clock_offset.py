"""How far the clock of another host is off, from words that went there and back."""

from __future__ import annotations

from collections import deque

KEPT = 64  # exchanges, about a minute


class ClockOffset:
    """The clock filter of NTP (RFC 5905, section 10): of the last exchanges the one that took least time is right.

    An exchange is four times in ns: sent here, received there, sent there, received here. What the two ways differ
    by goes undetected, so the offset is right to half of `round_trip_ns`.
    """

    def __init__(self) -> None:
        self._exchanges: deque[tuple[int, int]] = deque(maxlen=KEPT)  # round trip, offset

    def add(self, sent: int, received: int, answered: int, back: int) -> None:
        """Takes an exchange; one that cannot have been is ignored."""
        round_trip = (back - sent) - (answered - received)
        if round_trip >= 0 and back >= sent and answered >= received:
            self._exchanges.append((round_trip, (received - sent + answered - back) // 2))

    def clear(self) -> None:
        """Another host."""
        self._exchanges.clear()

    @property
    def known(self) -> bool:
        """True once there was an exchange."""
        return bool(self._exchanges)

    @property
    def offset_ns(self) -> int:
        """The other clock minus ours; 0 before anything is known."""
        return min(self._exchanges)[1] if self._exchanges else 0

    @property
    def round_trip_ns(self) -> int:
        """Of the quickest exchange."""
        return min(self._exchanges)[0] if self._exchanges else 0

    def here(self, there_ns: int) -> int:
        """Our time at which the other clock stood at `there_ns`."""
        return there_ns - self.offset_ns
