"""Token buckets: how much of something somebody else may make us do."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

MOST_KNOWN = 256  # buckets by name; the fullest is forgotten first


class Budget:
    """So much a second, and so much at once after a rest. Times are in seconds of any clock that does not go back."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self._left = burst
        self._at_s: float | None = None

    def left(self, now_s: float) -> float:
        """What could be taken now."""
        if self._at_s is not None:
            self._left = min(self.burst, self._left + max(now_s - self._at_s, 0.0) * self.rate)
        self._at_s = now_s
        return self._left

    def take(self, amount: float, now_s: float) -> bool:
        """Takes it; False, and nothing taken, where there is not as much."""
        if self.left(now_s) < amount:
            return False
        self._left -= amount
        return True

    def spend(self, amount: float, now_s: float) -> bool:
        """Takes what has happened already, also beyond what is left; False while nothing is left."""
        self._left = self.left(now_s) - amount
        return self._left > 0


_K = TypeVar("_K", bound=Hashable)


class Budgets(Generic[_K]):
    """A bucket for each name, made when it is first seen; there are never more than `MOST_KNOWN`."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._known: dict[_K, Budget] = {}

    def take(self, name: _K, amount: float, now_s: float) -> bool:
        """As `Budget.take`."""
        budget = self._known.get(name)
        if budget is None:
            self._forget(now_s)
            budget = self._known[name] = Budget(self._rate, self._burst)
        return budget.take(amount, now_s)

    def _forget(self, now_s: float) -> None:
        if len(self._known) >= MOST_KNOWN:
            del self._known[max(self._known, key=lambda name: self._known[name].left(now_s))]
