"""From one link to another at an input that takes its frames one after the other, by position."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.dsp.fade import blended, rising
from audio_pipeline.frame import Flag, Frame, Samples

PATIENCE_NS = 3_000_000_000  # then the new link stands alone, whatever comes of it
LAG_FRAMES = 20  # the new one was behind at so many frames: it stays behind, and is waited for
MOST_FRESH = 4_096  # frames of the new link that are kept meanwhile


class Splice:
    """Hands on the old link's frames until the new one has the same positions, then the new one's.

    Both are on one timeline: what is handed on has each position once, without a hole, and turns from one to the
    other over the length of a fade. A new link that is slower is waited for. On different timelines positions say
    nothing of each other: the old sound fades out, then the new one fades in.
    """

    def __init__(self, fade_samples: int, end: int | None, now_ns: int, *, joined: bool) -> None:
        self._fade, self._asked_ns, self._joined = fade_samples, now_ns, joined
        self._end = end  # position that is handed on next; None: nothing was yet
        self._start: int | None = None  # of the fade
        self._held: deque[Frame] = deque()  # old, and not handed on
        self._fresh: deque[Frame] = deque(maxlen=MOST_FRESH)  # new, neighbours of each other
        self._behind = 0
        self._gone = end is None  # the old link says nothing any more
        self.begins: Frame | None = None  # the first one of another timeline, among those that are handed on
        self.over = False

    def old(self, frame: Frame) -> list[Frame]:
        """Takes a frame of the old link; what the node gets now."""
        if frame.flags & Flag.END:
            self._gone = True
        if self.over or not frame.samples:
            return []
        if not self._joined:
            return self._apart(frame)
        if self._start is None and not self._meets(frame):
            self._end = frame.end
            return [frame]
        self._held.append(frame)
        return self._join()

    def _meets(self, frame: Frame) -> bool:
        """Whether the fade begins with this frame."""
        if not self._fresh:
            return False
        if self._fresh[0].position <= frame.position < self._fresh[-1].end:
            self._start = frame.position
        elif self._fresh[-1].end <= frame.position:
            self._behind += 1
            self._start = frame.position if self._behind > LAG_FRAMES else None
        return self._start is not None

    def new(self, frame: Frame) -> list[Frame]:
        """Takes a frame of the new link; what the node gets now."""
        if frame.samples:
            if self._fresh and frame.position != self._fresh[-1].end:
                self._fresh.clear()
            self._fresh.append(frame)
        if self._joined and self._start is not None:
            return self._join()
        return self._rest() if self._gone and self._ahead else []

    def turn(self, now_ns: int) -> list[Frame]:
        """When the old link has nothing more, or patience is over: what the node gets now."""
        if self.over or not (now_ns - self._asked_ns > PATIENCE_NS or (self._gone and self._ahead)):
            return []
        last = [self._fading(self._held[0])] if self._held else []
        return [*last, *self._rest()]

    def cancel(self) -> None:
        """Nothing of what is held is wanted any more."""
        self.over, self._end = True, None

    def _join(self) -> list[Frame]:
        out: list[Frame] = []
        assert self._start is not None
        stop = self._start + self._fade
        while self._held and self._held[0].position < stop and self._has(min(self._held[0].end, stop)):
            frame = self._held.popleft()
            if frame.end > stop:
                frame, _ = frame.cut(stop - frame.position)
            out.append(self._blend(frame, frame.position - self._start))
            self._end = frame.end
        if self._end is not None and (self._end >= stop or (self._held and self._held[0].position >= stop)):
            out += self._rest()
        return out

    def _has(self, end: int) -> bool:
        return bool(self._fresh) and self._fresh[-1].end >= end

    def _blend(self, frame: Frame, done: int) -> Frame:
        old = frame.audio()
        new = old.copy()  # where the new one has nothing yet, nothing changes
        for fresh in self._fresh:
            first, last = max(fresh.position, frame.position), min(fresh.end, frame.end)
            if first < last:
                part = fresh.audio()[first - fresh.position : last - fresh.position]
                new[first - frame.position : last - frame.position] = to_channels(part, old.shape[1])
        return replace(
            frame.with_data(blended(old, new, done, self._fade), frame.position, frame.rate),
            flags=frame.flags & ~Flag.GAP,
        )

    def _apart(self, frame: Frame) -> list[Frame]:
        if sum(fresh.samples for fresh in self._fresh) < self._fade:
            return [frame]
        return [self._fading(frame), *self._rest()]

    def _fading(self, frame: Frame) -> Frame:
        """The last frame of the old link."""
        self._end = frame.end
        return _shaped(frame, 1 - rising(0, frame.samples, min(self._fade, frame.samples)))

    def _rest(self) -> list[Frame]:
        """All of the new link from where the old one ended; a new beginning where they do not meet."""
        self.over = True
        frames = list(self._fresh)
        if self._joined and self._end is not None:
            frames = [cut for frame in frames if (cut := _from(frame, self._end)) is not None]
        meets = self._end is None or (bool(frames) and self._joined and frames[0].position == self._end)
        if frames and not (meets and self._through):
            n = frames[0].samples
            first = _shaped(frames[0], rising(0, n, min(self._fade, n)))
            frames[0] = first if meets else replace(first, flags=first.flags | Flag.DISCONTINUITY)
        self.begins = frames[0] if frames and not self._joined else None
        return frames

    @property
    def _through(self) -> bool:
        """False where the old link broke off before the fade was through."""
        return self._end is None or (self._start is not None and self._end >= self._start + self._fade)

    @property
    def _ahead(self) -> bool:
        return bool(self._fresh) and (not self._joined or self._fresh[-1].end > (self._end or 0))

    @property
    def floor(self) -> int:
        """Nothing before this position is handed on again."""
        return (self._end or 0) if self._joined else 0


def _from(frame: Frame, position: int) -> Frame | None:
    """The part of a frame from a position on."""
    if frame.end <= position:
        return None
    return frame if frame.position >= position else frame.cut(position - frame.position)[1]


def _shaped(frame: Frame, gains: Samples) -> Frame:
    data = np.asarray(frame.audio() * gains, np.float32)
    return replace(frame.with_data(data, frame.position, frame.rate), flags=frame.flags & ~Flag.GAP)
