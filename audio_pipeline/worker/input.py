"""One link into a running node: its socket, its conversion, and how far it has come."""

from __future__ import annotations

from collections import deque

from audio_pipeline.dsp.mute import Mute
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.links.consumer import InPort
from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.links.ports import Continuity, Converter
from audio_pipeline.refs import LinkKey

FADE_MS = 10  # what is missing; one link follows another in twice as much


class Input:
    """One link with its conversion and planned latencies."""

    def __init__(self, key: LinkKey, plan: LinkPlan, link: InPort, converter: Converter) -> None:
        self.key, self.plan, self.link, self.converter = key, plan, link, converter
        self.continuity = Continuity()
        self.mute = Mute(plan.muted, 2 * converter.rate * FADE_MS // 1000)
        self.ended = self.absent = False
        self.floor = 0  # what lies before it was heard already, from the link before
        self.end: int | None = None  # of what has come, as the node counts
        self.raw_end: int | None = None  # as the link counts
        self.next_plan: LinkPlan | None = None  # another timeline, from the next new beginning on
        self.since_ns = 0  # when that was asked, or when it began to leave

    def passes(self, frame: Frame, *, repair: bool) -> bool:
        """True for a frame that the node gets as it came; then it is noted how far the link has come."""
        if not frame.samples or frame.position < self.floor or not self.mute.passes or not self.converter.passes(frame):
            return False
        if repair and not self.continuity.follows(frame):
            return False
        self.end = self.raw_end = frame.end
        return True

    def forget(self, generation: int) -> None:
        """Drops what is older than `generation`; what comes next is no neighbour of it."""
        self.ended = self.absent
        self.continuity.reset()
        self.converter.reset()
        kept = deque(frame for frame in self.link.queue if frame.generation >= generation)
        while self.link.queue:
            frame = self.link.take()
            if frame is not None and frame.generation < generation:
                self.link.dropped("cancelled")
        self.link.queue.extend(kept)


def is_beginning(frame: Frame) -> bool:
    """True for the first frame of something that is no neighbour of what came before."""
    return bool(frame.flags & Flag.DISCONTINUITY) and not frame.flags & Flag.REPLAY
