"""The rings and timelines of a node with several inputs: what comes is written there, by position."""

from __future__ import annotations

from collections.abc import Iterable

from audio_pipeline.align.capacity import grow_if_stuck, has_capacity, known_through
from audio_pipeline.align.input import AlignInput, AlignSpec
from audio_pipeline.align.line import Count, Timeline
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.refs import LinkKey


class Rings:
    """A ring a link, a timeline for all links that share one."""

    def __init__(
        self, specs: Iterable[AlignSpec], *, frame_samples: int, fade_samples: int, live: bool, count: Count
    ) -> None:
        self.frame_samples = frame_samples
        self._fade = fade_samples
        self._live = live
        self._count = count
        self.inputs: dict[LinkKey, AlignInput] = {}
        self.timelines: dict[str, Timeline] = {}
        self.ports: dict[str, LinkKey] = {}  # the node's inputs: by name, the link that is wanted there
        for spec in specs:
            self.ports[spec.key.input] = self._add(spec).key

    def _add(self, spec: AlignSpec) -> AlignInput:
        item = self.inputs[spec.key] = AlignInput(spec, self.frame_samples, self._fade, live=self._live)
        if spec.plan.timeline not in self.timelines:
            line = Timeline(self.frame_samples, self._live, self._count, anchor=None if self._live else 0)
            self.timelines[spec.plan.timeline] = line
        self.timelines[spec.plan.timeline].join(item)
        return item

    def _line(self, item: AlignInput) -> Timeline:
        return self.timelines[item.plan.timeline]

    def restore(self, timeline: str, anchor: int, generation: int) -> None:
        """Takes a predecessor's anchor, so that a restart changes nothing of what is heard when."""
        line = self.timelines.get(timeline)
        if line is not None:
            line.anchor, line.generation = anchor, generation

    # -- what comes ---------------------------------------------------------------------------------

    def push(self, key: LinkKey, frame: Frame, due_ns: int, now_ns: int) -> str | None:
        """Takes a frame of a link, or of the one that stands by for it; the reason if it is of no use any more."""
        item, standby = self.inputs[key.main], key.standby
        line = self._line(item)
        if frame.generation < line.generation:
            return "cancelled"
        if frame.generation > line.generation:
            self.cancel(item.plan.timeline, frame.generation)
        if not standby and self._note_state(item, frame):
            return None
        ring = item.standby if standby else item.ring
        if ring is None:
            return "unused"
        if frame.flags & Flag.CONCEALED:
            (item.standby_concealed if standby else item.concealed).note(frame.position, frame.end)
        late = ring.write(frame.position, frame.audio()).late_samples
        if standby and item.standby_first is None and frame.samples:
            item.standby_first = frame.position
        if not standby:
            self._count("late_samples", late if item.audible else 0)
            line.delay_more(frame, late if item.audible else 0, now_ns)
            item.capture, item.sources = (frame.end, frame.captured_ns, frame.rate), frame.sources
            if item.first is None and frame.samples > late:
                item.first, item.due_ns = max(frame.position, ring.floor), due_ns
        if line.since_ns is None and frame.samples:
            line.since_ns = now_ns
        return "late" if frame.samples and late == frame.samples and item.audible else None

    def _note_state(self, item: AlignInput, frame: Frame) -> bool:
        """END and idle carry no samples; True when there is nothing to write."""
        item.idle = bool(frame.flags & Flag.GAP) and frame.samples == 0 and not frame.flags & Flag.END
        if frame.flags & Flag.END:
            item.ended_at = frame.end
        return frame.samples == 0

    def has_capacity(self, key: LinkKey, samples: int, position: int | None = None, now_ns: int = 0) -> bool:
        """Offline: True while `samples` more fit, at `position` or next, without pushing out what was not heard yet."""
        item = self.inputs[key.main]
        if key.standby:  # nobody dies offline without ending the run: what stands by must not stall anybody
            return True
        position = item.ring.end if position is None else position
        while not has_capacity(item, position, samples):
            others = [other for other in self.inputs.values() if other is not item]
            if not grow_if_stuck(item, others, self.frame_samples, now_ns, self._count):
                return False
        return True

    def cancel(self, timeline: str, generation: int) -> None:
        """Nothing older than `generation` is heard again, but for a fade of what would have come next."""
        line = self.timelines.get(timeline)
        if line is not None and generation > line.generation:
            line.cancel(generation)

    def absent(self, key: LinkKey) -> None:
        """Nothing will ever come here (an optional node that is not there)."""
        item = self.inputs[key]
        item.ended_at = 0
        self._line(item).part(item)

    def present(self, key: LinkKey) -> None:
        """What was absent is there after all."""
        item = self.inputs[key]
        item.ended_at = None
        if item not in self._line(item).inputs:
            self._line(item).join(item)

    def resize(self, key: LinkKey, capacity_samples: int) -> None:
        """A larger buffer, before anything has come."""
        item = self.inputs[key.main]
        if item.first is None and item.standby_first is None and capacity_samples > item.capacity_samples:
            item.allocate(capacity_samples)

    # -- offline ---------------------------------------------------------------------------------------

    def ready(self) -> bool:
        """Every input that has not ended is known for a whole frame."""
        return all(
            item.ended_at is not None or known_through(item) - item.ring.floor >= self.frame_samples
            for item in self.inputs.values()
        )

    @property
    def ended(self) -> bool:
        """True when all inputs have ended and what came of them has been read to the end."""
        return all(
            item.ended_at is not None and (item.first is None or item.ring.floor >= item.ended_at)
            for item in self.inputs.values()
        )

    def remaining(self, position: int) -> int:
        """Samples until the last input's end, at most a frame."""
        ends = [item.ended_at for item in self.inputs.values()]
        if any(end is None for end in ends):
            return self.frame_samples
        return min(self.frame_samples, max(end for end in ends if end is not None) - position)
