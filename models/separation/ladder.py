"""Decides when a live separator steps down to cheaper rungs, and up again. Pure: the caller gives the time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from audio_pipeline.models.separation.grid import Rung

NS = 1_000_000_000


@dataclass(frozen=True)
class LadderSettings:
    """What counts as overload, and as calm.

    A stream steps down before it misses, as long as there is a rung with inference: when all but one of the last
    `slow` inferences took more than `strain` of the time between two and the last answer came with less than `roomy` of
    the promised time left, or when `slow` // 2 answers in a row came with less than `near` of it.
    A miss is a strike unless one was counted `apart_s` before: one stall of the machine makes many windows late
    at once, and is no reason to step down. After a step up that did not last, calm has to be twice as long, up to
    `calm_most` times. On the dry rung an inference every `probe_s` is made for its time alone.
    """

    strain: float = 0.85
    roomy: float = 0.5
    near: float = 0.15
    slow: int = 4
    strikes: int = 3
    within_s: float = 2.0
    apart_s: float = 0.25
    calm_s: float = 10.0
    calm_most: float = 16.0
    probe_s: float = 0.5
    share: float = 0.75  # of the time between two inferences, that one may take on the rung above
    trial_share: float = 0.5  # the same for rungs above the stated one: nobody needs them
    window: int = 64  # inferences whose slower ones are looked at before a step up


class Ladder:
    """Where on its rungs a stream stands: 0 is the top; one below the last rung there is no inference at all.

    `note` is called for each window with what became of it; True where the stream has to change over. `frame_s` is
    the time from one frame to the next, `most_s` what an inference may take whatever the hop. A `trial` is a rung
    above the stated ones; it is reached by climbing only. `step` counts from the stated one: -1 is the trial, the
    ladder begins `step` rungs below 0.
    """

    def __init__(
        self,
        rungs: Sequence[Rung],
        frame_s: float,
        settings: LadderSettings | None = None,
        *,
        most_s: float = math.inf,
        step: int = 0,
        trial: Rung | None = None,
    ) -> None:
        self._stated = 0 if trial is None else 1
        self.rungs: tuple[Rung, ...] = (*(() if trial is None else (trial,)), *rungs)
        self.settings, self._most_s = settings or LadderSettings(), most_s
        self._frame_s = frame_s
        self.at = min(max(self._stated + step, 0), len(self.rungs))
        self._calm_s = self.settings.calm_s
        self._climbed_ns: int | None = None
        self.reset()

    def reset(self) -> None:
        """Forgets what was noted; stays on its rung."""
        self._strikes: deque[int] = deque(maxlen=self.settings.strikes)
        self._took: deque[float] = deque(maxlen=self.settings.window)
        self._near = 0  # answers in a row that came shortly before their deadline
        self._calm_since: int | None = None
        self._probed_ns: int | None = None

    @property
    def step(self) -> int:
        """Rungs below the stated one; -1 on the trial above it."""
        return self.at - self._stated

    @property
    def dry(self) -> bool:
        """Whether the dry sound is all there is."""
        return self.at == len(self.rungs)

    @property
    def rung(self) -> Rung:
        """How windows are cut; on the dry rung as on the last one above it."""
        return self.rungs[min(self.at, len(self.rungs) - 1)]

    @property
    def described(self) -> str:
        """What this rung is, for the log."""
        if self.dry:
            return "this machine is too busy to separate; the dry sound plays"
        window, ahead, hop = (1000 * frames * self._frame_s for frames in self.rung)
        rate = f"an inference each {hop:.0f} ms, with {ahead:.0f} ms of future and {window - ahead:.0f} ms of past"
        return f"this machine {'is busy' if self.step > 0 else 'has time to spare'}, {rate}" if self.step else rate

    def probe(self, now_ns: int) -> bool:
        """On the dry rung: whether it is time to find out what an inference takes."""
        if self._probed_ns is not None and now_ns - self._probed_ns < self.settings.probe_s * NS:
            return False
        self._probed_ns = now_ns
        return True

    def note(
        self, now_ns: int, *, missed: bool = False, took_s: float | None = None, left: float | None = None
    ) -> bool:
        """A window was missed, or kept after an inference of `took_s` (None without one): True after a step.

        `left` is the share of the promised time that was left when the answer came; None without a deadline.
        """
        if missed:
            return self._strike(now_ns)
        if self._calm_since is None:
            self._calm_since = now_ns
        if took_s is not None:
            self._took.append(took_s)
            self._near = self._near + 1 if left is not None and left < self.settings.near else 0
            if self.at + 1 < len(self.rungs) and self._strained(left):
                return self._descend(now_ns)
        calm = now_ns - self._calm_since >= self._calm_s * NS
        return calm and self._climb(now_ns)

    def forgive(self, at: int) -> bool:
        """Back on a higher rung, since what made it step down says nothing of the machine: True after a step."""
        if at >= self.at:
            return False
        self._stand(at)
        return True

    def _strained(self, left: float | None) -> bool:
        """Whether the next stall would cost a deadline."""
        if left is not None and left >= self.settings.roomy:
            return False
        least_s = self.settings.strain * self.rung.hop * self._frame_s
        slow = [took > least_s for took in list(self._took)[-self.settings.slow :]]
        return sum(slow) >= self.settings.slow - 1 or self._near >= self.settings.slow // 2

    def _strike(self, now_ns: int) -> bool:
        self._calm_since = None
        if self.dry or (self._strikes and now_ns - self._strikes[-1] < self.settings.apart_s * NS):
            return False
        self._strikes.append(now_ns)
        full = len(self._strikes) == self.settings.strikes
        if not full or now_ns - self._strikes[0] > self.settings.within_s * NS:
            return False
        return self._descend(now_ns)

    def _descend(self, now_ns: int) -> bool:
        self._stand(self.at + 1)
        recent = self._climbed_ns is not None and now_ns - self._climbed_ns < 3 * self._calm_s * NS
        most_s = self.settings.calm_most * self.settings.calm_s
        self._calm_s = min(2 * self._calm_s, most_s) if recent else self.settings.calm_s
        self._climbed_ns = None
        return True

    def _climb(self, now_ns: int) -> bool:
        if self.at == 0 or not self._fits(self.rungs[self.at - 1]):
            return False
        self._stand(self.at - 1)
        self._climbed_ns = now_ns
        return True

    def _fits(self, above: Rung) -> bool:
        """Whether the slower ones of the latest inferences would be in time on the rung above."""
        if not self._took:
            return False
        slow = sorted(self._took)[math.ceil(0.9 * (len(self._took) - 1))] * above.window / self.rung.window
        share = self.settings.trial_share if self.step <= 0 else self.settings.share
        return slow <= min(share * above.hop * self._frame_s, (1 - 2 * self.settings.near) * self._most_s)

    def _stand(self, at: int) -> None:
        self.at = at
        self.reset()
