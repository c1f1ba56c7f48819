"""What a loudspeaker gets next: frames by position, concealed where they are missing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.fade import crossfade, fade_out
from audio_pipeline.dsp.ramp import Ramp
from audio_pipeline.dsp.ring import PositionRing
from audio_pipeline.dsp.switch import Switch

Samples = NDArray[np.float32]

FADE_MS = 10
CAPACITY_S = 30
PATIENCE_MS = 250  # frames that come too late for so long are the new timing, not a hiccup
AHEAD_MS = 1_000  # frames that come so much earlier than they need have jumped
REVIEW_S = 5  # delay that was not needed for so long ...
SLACK_MS = 60  # ... and is so much more than it once was gets cut out


class Playout:
    """Reads one sample after the other from an anchor on, whatever arrives.

    The first write is the anchor: its first sample is read `wait_samples` later, and every sample after it in
    its place, bit for bit. Where samples are missing the sound fades out over the last 10 ms that are there
    and in again when it is back. The anchor moves, with fades, when frames come too late for 250 ms on end or
    a second too early; and delay that device dropouts have added is cut out again.
    """

    def __init__(self, channels: int, rate: int) -> None:
        self._channels, self._rate = channels, rate
        self._fade = self._samples(FADE_MS)
        self._ring = PositionRing(channels, rate * CAPACITY_S)
        self._switch = Switch(channels, self._fade)
        self._entry = Ramp(1.0, self._fade)
        self.head: int | None = None  # content position that is read next; None before the first write
        self.concealed_samples = 0
        self.gaps = 0
        self.longest_gap_samples = 0
        self.late_samples = 0
        self.skipped_samples = 0
        self._gap = 0
        self._ended = False
        self._cancelled = False
        self._late_since: int | None = None
        self._review_from = self._least_lead = self._usual_lead = 0

    def _samples(self, ms: int) -> int:
        return self._rate * ms // 1000

    def write(self, position: int, x: Samples, wait_samples: int) -> None:
        """Takes (n, channels); were it the first, its first sample would be read `wait_samples` from now."""
        if not len(x):
            return
        wait = min(max(wait_samples, 0), self._rate * CAPACITY_S // 2)
        if self.head is None:
            self._anchor(position, wait)
        elif self._cancelled or self._misplaced(position - self.head, len(x), wait):
            self._anchor(position, max(wait, self._fade))
            self._entry = Ramp(0.0, self._fade)
            self._entry.set(1.0)
        self.late_samples += self._ring.write(position, self._entry.process(x)).late_samples
        self._review_lead(position)

    def read(self, n: int) -> Samples:
        """The next (n, channels)."""
        if self.head is None or n == 0:
            return np.zeros((n, self._channels), np.float32)
        start, weight = self.head, self._switch.weight
        run = self._ring.run(start)
        usable = run if not self._ended else n + 2 * self._fade  # behind the end there is nothing to miss
        out = self._switch.process(self._ring.read(start, n), usable, np.zeros((n, self._channels), np.float32))
        self._note_gap(n if weight == self._switch.weight == 0 else n - min(n, usable))
        self.head = start + n
        self._ring.discard_before(self.head)
        return out

    def finish(self) -> None:
        """The stream has ended: what is here is played to its last sample, nothing is missing after it."""
        self._ended = True

    def cancel(self) -> None:
        """What is here is wanted no more: fades out now; the next write is an anchor again."""
        if self.head is None:
            return
        k = min(self._ring.run(self.head), self._fade)
        tail = self._ring.read(self.head, k) * fade_out(k)[:, None]
        self._ring.clear(self.head)
        self._ring.write(self.head, tail)
        self._ended = self._cancelled = True

    @property
    def pending_samples(self) -> int:
        """How much of what was written has not been read."""
        return 0 if self.head is None else max(self._ring.end - self.head, 0)

    @property
    def drained(self) -> bool:
        """Whether everything that was written has been read."""
        return self.pending_samples == 0

    def _anchor(self, position: int, wait: int) -> None:
        """Puts `position` behind `wait` samples of silence, into which what was playing fades out."""
        tail = np.zeros((wait, self._channels), np.float32)
        if self.head is not None:
            k = min(self._ring.run(self.head), self._fade, wait)
            tail[:k] = self._ring.read(self.head, k) * fade_out(k)[:, None]
        self.head = position - wait
        self._ring.clear(self.head)
        self._ring.write(self.head, tail)
        self._late_since = None
        self._review_from, self._least_lead, self._usual_lead = self.head, wait, wait
        self._ended = self._cancelled = False

    def _misplaced(self, lead: int, samples: int, wait: int) -> bool:
        assert self.head is not None
        if lead + samples > 0:
            self._late_since = None
            return lead > wait + self._samples(AHEAD_MS)
        self._late_since = self.head if self._late_since is None else self._late_since
        return self.head - self._late_since >= self._samples(PATIENCE_MS)

    def _review_lead(self, position: int) -> None:
        """Skips a bit where frames come ever earlier before they are read: the device stood still."""
        assert self.head is not None
        self._least_lead = min(self._least_lead, position - self.head)
        if self.head - self._review_from < REVIEW_S * self._rate:
            return
        usual = min(self._usual_lead, self._least_lead)
        if self._least_lead - usual > self._samples(SLACK_MS):
            self._cut(self._least_lead - usual)
        self._usual_lead, self._review_from, self._least_lead = usual, self.head, position - self.head

    def _cut(self, samples: int) -> None:
        """Leaves out the next `samples`, crossfaded."""
        assert self.head is not None
        k = min(self._fade, self._ring.run(self.head), self._ring.run(self.head + samples))
        old, new = self._ring.read(self.head, k), self._ring.read(self.head + samples, k)
        self.head += samples
        self._ring.discard_before(self.head)
        self._ring.write(self.head, crossfade(old, new))
        self.skipped_samples += samples

    def _note_gap(self, missing: int) -> None:
        if not missing:
            self._gap = 0
            return
        self.gaps += self._gap == 0
        self._gap += missing
        self.concealed_samples += missing
        self.longest_gap_samples = max(self.longest_gap_samples, self._gap)
