"""Token buckets by who asks. Pure; bounded however many come."""

from __future__ import annotations

from collections import OrderedDict

MOST_USERS = 4_096


class Buckets:
    """`rate` requests a second each, and `burst` at once.

    >>> buckets = Buckets(rate=1, burst=2)
    >>> [buckets.wait_s("ann", 0.0) for _ in range(3)]
    [0.0, 0.0, 1.0]
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when that was

    def wait_s(self, user: str, now_s: float) -> float:
        """0 and one token less, or how long until there is one."""
        tokens, then_s = self._left.pop(user, (self._burst, now_s))
        tokens = min(self._burst, tokens + max(now_s - then_s, 0.0) * self._rate)
        wait_s = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._left[user] = (tokens if wait_s else tokens - 1, now_s)
        if len(self._left) > MOST_USERS:
            self._left.popitem(last=False)
        return wait_s
