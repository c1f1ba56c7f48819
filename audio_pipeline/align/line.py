"""One timeline (a song, a microphone) in an aligner: where it stands on the output's, and what all its inputs share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from audio_pipeline.align.delay import DelayKeeper
from audio_pipeline.align.input import AlignInput
from audio_pipeline.frame import Flag, Frame, Samples
from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.refs import LinkKey

PATIENCE_NS = 1_500_000_000
Count = Callable[[str, int], None]


@dataclass
class Timeline:
    """Output position = input position + `anchor`, the same for every input."""

    frame_samples: int
    live: bool
    count: Count
    inputs: list[AlignInput] = field(default_factory=list)
    anchor: int | None = None
    generation: int = 0
    since_ns: int | None = None  # first data of this generation
    tails: dict[LinkKey, Samples] = field(default_factory=dict)  # fade-outs of what a cancel cut off
    delay: DelayKeeper | None = None

    def join(self, item: AlignInput) -> None:
        """One more input on this timeline."""
        self.inputs.append(item)
        self.be_eager(item.plan)

    def be_eager(self, plan: LinkPlan) -> None:
        """Whether to be up to date is worth more than the start."""
        keeper = self.delay or DelayKeeper(self.frame_samples, plan.spare_frames)
        self.delay = keeper if self.live and plan.eager else None

    def part(self, item: AlignInput) -> None:
        """One less."""
        self.inputs = [other for other in self.inputs if other is not item]
        self.tails.pop(item.key, None)

    def delay_more(self, frame: Frame, late: int, now_ns: int) -> None:
        """The hole that this makes is faded like any other."""
        if late and self.delay and self.anchor is not None and not frame.flags & Flag.REPLAY:
            self.shift(self.delay.note_late(now_ns, self.frame_samples * 1_000_000_000 // frame.rate))

    def shift(self, samples: int) -> None:
        """Everything on it is heard so much later."""
        if self.anchor is not None:
            self.anchor += samples
            self.count("delay_samples", samples)

    def delay_less(self, now_ns: int) -> None:
        """Leaves a frame out, crossfaded."""
        audible = [item for item in self.inputs if item.audible]
        if self.delay is None or self.anchor is None or not audible:
            return
        less = self.delay.note_spare(min(item.in_hand for item in audible), now_ns)
        if less:
            self.fade_out()
            self.shift(-less)

    def fade_out(self) -> None:
        """What would be heard next becomes a fade to silence over whatever comes instead."""
        for item in self.inputs:
            tail, rest = item.fade_out(), self.tails.get(item.key)
            if rest is not None:
                tail[: len(rest)] += rest
            self.tails[item.key] = tail

    def with_tail(self, key: LinkKey, block: Samples) -> Samples:
        """The block with what is left of a fade-out."""
        tail = self.tails.pop(key, None)
        if tail is None:
            return block
        block = block.copy()
        used = min(len(block), len(tail))
        block[:used] += tail[:used]
        if len(tail) > used:
            self.tails[key] = tail[used:]
        return block

    def cancel(self, generation: int) -> None:
        """Nothing older is heard again, but for a fade."""
        self.generation = generation
        self.fade_out()
        for item in self.inputs:
            item.forget()
        self.anchor = None if self.live else self.anchor
        self.since_ns = None

    def skip_to(self, position: int) -> None:
        """What should have been heard before an output position is gone."""
        for item in self.inputs if self.anchor is not None else ():
            item.ring.discard_before(position - (self.anchor or 0))

    def try_anchor(self, position: int, now_ns: int) -> None:
        """Anchors when every input of the timeline is there and due, or when patience ends."""
        if self.since_ns is None:
            return
        here = [item for item in self.inputs if item.first is not None]
        start = max((max(item.first or 0, item.ring.floor) for item in here), default=None)
        waited = now_ns - self.since_ns > PATIENCE_NS
        if start is None:
            start = self._standby_start() if waited else None
        if start is None or (len(here) < len(self.inputs) and not waited):
            return
        start += self._overdue(here, start, now_ns)
        complete = all(item.run(start) >= self.frame_samples and now_ns >= item.due_at(start) for item in here)
        if complete or waited:
            self.anchor = position - start

    def _overdue(self, here: list[AlignInput], start: int, now_ns: int) -> int:
        """Samples, in whole frames, by which an eager timeline can begin later and still be in time."""
        if not here or not here[0].plan.eager:
            return 0
        spare = [(now_ns - item.due_at(start)) * item.rate // 1_000_000_000 for item in here]
        held = [item.run(start) - self.frame_samples for item in here]
        return max(min(spare + held), 0) // self.frame_samples * self.frame_samples

    def _standby_start(self) -> int | None:
        starts = [
            max(item.standby_first, item.standby.floor)
            for item in self.inputs
            if item.standby is not None and item.standby_first is not None
        ]
        return max(starts, default=None)
