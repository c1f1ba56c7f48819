"""How long sound that comes over a network must wait so that it rarely runs dry, from the delays that were measured."""

from __future__ import annotations

from collections import deque

import numpy as np

WINDOW_S = 20.0  # delays older than this are no measure of the present
QUANTILE = 0.995
REVIEW_S = 0.5  # how often the window is evaluated
HOLD_S = 10.0  # what an underrun has shown to be needed is kept so long
SHRINK = 0.001  # s a second: a tenth of a percent of speed, far below what is audible as pitch
LEAP_S = 0.05  # delay to spare that is more than this goes at once
OUTAGE_S = 1.0  # that late for so long is another route, not jitter
ENOUGH = 50  # delays before the window is believed

SETTLE_S = 3.0  # the start of a feed: the target goes to what is needed at once, in both directions
FIRST_REVIEW_S = 1.0  # until then the first target stands
SETTLE_LEAP_S = 0.005
BACKLOG_S = 0.002  # a base that falls by more, at a frame or between reviews: what came before had waited there
QUICKER_S = 0.02  # the same, later: another route


class JitterTarget:
    """The delay to aim at, from arrivals; all times in seconds on one clock.

    `delay` of a frame is its arrival minus its place in content time. The least of 20 s is the `base`: what is
    beyond is jitter. The target is the 99.5 % quantile of that, plus `spare_s` for the length of a frame, within
    `least_s` and `most_s`. It rises at once, holds for 10 s what an underrun has shown, and falls by a millisecond
    a second, or at once where more than 50 ms are too much.

    A feed settles in its first 3 s. Frames that waited at the sender before the first one was sent arrive in a burst;
    their age is no jitter, so whatever came before a clearly quicker frame is forgotten. After the first second, with
    a window of a second, the target goes to what is needed at once.

    Frames that are later than `most_s` are an outage: no buffer would have held them, so they and what is caught up
    behind them do not count. `jitter_s` is the interarrival jitter of RFC 3550, A.8; the quantile over relative delays
    is the idea of WebRTC's NetEQ.
    """

    def __init__(self, spare_s: float, least_s: float, most_s: float, first_s: float) -> None:
        self._spare, self._least, self._most = spare_s, least_s, most_s
        self._first = min(max(first_s, least_s), most_s)
        self.jitter_s = 0.0
        self.reset()

    def reset(self) -> None:
        """Another sender: nothing is known."""
        self.target_s = self._first
        self.clear()

    def clear(self) -> None:
        """Another timeline, or another route: delays before it are no measure."""
        self._delays: deque[tuple[float, float]] = deque()
        self.base_s: float | None = None
        self._before: float | None = None
        self._reviewed_s = self._held_until_s = float("-inf")
        self._late_since_s: float | None = None
        self._since_s: float | None = None
        self._fallen_s = 0.0  # the base, since the last review
        self.settling = True

    @property
    def leap_s(self) -> float:
        """An error of the delay that is larger is corrected at once instead of by speed."""
        return SETTLE_LEAP_S if self.settling else LEAP_S

    def arrived(self, content_s: float, arrival_s: float) -> float:
        """Takes a frame whose last sample is at `content_s`; how much later than the quickest it came, in s."""
        delay = arrival_s - content_s
        if self._before is not None:
            self.jitter_s += (abs(delay - self._before) - self.jitter_s) / 16
        self._before = delay
        if self._is_outage(delay, arrival_s):
            return delay - (self.base_s or 0.0)
        base_s = self._update_base(delay)
        self._delays.append((arrival_s, delay))
        self._since_s = arrival_s if self._since_s is None else self._since_s
        self.settling = arrival_s - self._since_s < SETTLE_S
        if arrival_s - self._reviewed_s >= REVIEW_S:
            self._review(arrival_s)
        return delay - base_s

    def _is_outage(self, delay: float, arrival_s: float) -> bool:
        limit = self._most if self._late_since_s is None else self.target_s  # until it has caught up
        if self.base_s is None or delay - self.base_s <= limit:
            self._late_since_s = None
            return False
        if self._late_since_s is None:
            self._late_since_s = arrival_s
        if arrival_s - self._late_since_s < OUTAGE_S:
            return True
        self.clear()
        return False

    def _update_base(self, delay: float) -> float:
        fall = 0.0 if self.base_s is None else max(self.base_s - delay, 0.0)
        self.base_s = delay if self.base_s is None else min(self.base_s, delay)
        self._fallen_s += fall
        if fall > (BACKLOG_S if self.settling else QUICKER_S):
            self._delays.clear()
            self.target_s, self._held_until_s = min(self.target_s, self._first), float("-inf")
        elif self.settling:
            self.target_s = min(self.target_s + fall, self._most)
        return self.base_s

    def _review(self, now_s: float) -> None:
        since, self._reviewed_s = self._reviewed_s, now_s
        horizon_s = since if self.settling and self._fallen_s > BACKLOG_S else now_s - WINDOW_S
        self._fallen_s = 0.0
        while self._delays[0][0] < horizon_s:
            self._delays.popleft()
        delays = np.array([delay for _, delay in self._delays])
        base_s = float(delays.min())
        self.target_s = max(self.target_s - (base_s - (self.base_s or 0.0)), self._least)
        self.base_s = base_s
        if len(delays) < ENOUGH or now_s - (self._since_s or 0.0) < FIRST_REVIEW_S:
            return
        needed = float(np.quantile(delays, QUANTILE)) - base_s + self._spare
        self._approach(min(max(needed, self._least), self._most), now_s, min(now_s - since, 1.0))

    def _approach(self, needed_s: float, now_s: float, elapsed_s: float) -> None:
        """Up at once; down at once where much is too much, else slowly."""
        if needed_s >= self.target_s:
            self.target_s = needed_s
        elif now_s >= self._held_until_s:
            much = self.target_s - needed_s > self.leap_s
            self.target_s = needed_s if much else max(needed_s, self.target_s - SHRINK * elapsed_s)

    def ran_dry(self, delay_s: float, now_s: float) -> None:
        """Sound had to wait until it lay `delay_s` behind the base: so much is needed, for a while."""
        self.target_s = min(max(self.target_s, delay_s), self._most)
        self._held_until_s = now_s + (FIRST_REVIEW_S if self.settling else HOLD_S)

    def newest_at(self, now_s: float) -> float:
        """Content time that the quickest frames have brought by now."""
        return now_s - (self.base_s or 0.0)
