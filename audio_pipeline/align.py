"""Puts several inputs in step: by position, at the clock's deadline when live, completely when offline.

Each timeline (a song, a microphone) is anchored once per generation: output position = input position +
anchor. All inputs of one timeline share the anchor, so a voice, a band and the dry song they came from
stay sample-aligned whatever their latencies. What is not there at its deadline is replaced as the input's
`on_loss` says, with a fade that begins where the true samples end: nothing has to be known ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from audio_pipeline.align_delay import DelayKeeper
from audio_pipeline.align_input import AlignInput, AlignSpec
from audio_pipeline.errors import NodeError
from audio_pipeline.frame import Flag, Frame, Samples

PATIENCE_NS = 1_500_000_000
Count = Callable[[str, int], None]
__all__ = ["AlignSpec", "Aligner"]


@dataclass
class _Timeline:
    """Where one timeline stands on the output's."""

    inputs: list[AlignInput] = field(default_factory=list)
    anchor: int | None = None
    generation: int = 0
    since_ns: int | None = None  # first data of this generation
    tails: dict[str, Samples] = field(default_factory=dict)  # fade-outs of what a cancel cut off
    delay: DelayKeeper | None = None


class Aligner:
    """The rings, anchors and fades of a node with several inputs."""

    def __init__(
        self, specs: Iterable[AlignSpec], *, frame_samples: int, fade_samples: int, live: bool, count: Count
    ) -> None:
        self.frame_samples = frame_samples
        self._live = live
        self._count = count
        self.inputs = {spec.name: AlignInput(spec, frame_samples, fade_samples, live=live) for spec in specs}
        self.timelines: dict[str, _Timeline] = {}
        for item in self.inputs.values():
            line = self.timelines.setdefault(item.spec.timeline, _Timeline(anchor=None if live else 0))
            line.inputs.append(item)
            line.delay = DelayKeeper(frame_samples) if live and item.spec.eager else None

    def restore(self, timeline: str, anchor: int, generation: int) -> None:
        """Takes a predecessor's anchor, so that a restart changes nothing of what is heard when."""
        line = self.timelines.get(timeline)
        if line is not None:
            line.anchor, line.generation = anchor, generation

    def push(self, port: str, frame: Frame, due_ns: int, now_ns: int) -> str | None:
        """Takes a frame for `name` or `name~bypass`; the reason if it is of no use any more."""
        name, _, standby = port.partition("~")
        item = self.inputs[name]
        line = self.timelines[item.spec.timeline]
        if frame.generation < line.generation:
            return "cancelled"
        if frame.generation > line.generation:
            self.cancel(item.spec.timeline, frame.generation)
        if not standby and self._note_state(item, frame):
            return None
        ring = item.standby if standby else item.ring
        if ring is None:
            return "unused"
        late = ring.write(frame.position, frame.audio()).late_samples
        if standby and item.standby_first is None and frame.samples:
            item.standby_first = frame.position
        if not standby:
            self._count("late_samples", late)
            self._hear_later(line, frame, late, now_ns)
            item.capture, item.sources = (frame.end, frame.captured_ns, frame.rate), frame.sources
            if item.first is None and frame.samples > late:
                item.first, item.due_ns = max(frame.position, ring.floor), due_ns
        if line.since_ns is None and frame.samples:
            line.since_ns = now_ns
        return "late" if frame.samples and late == frame.samples else None

    def _hear_later(self, line: _Timeline, frame: Frame, late: int, now_ns: int) -> None:
        """The hole that this makes is faded like any other."""
        if late and line.delay and line.anchor is not None and not frame.flags & Flag.REPLAY:
            more = line.delay.note_late(now_ns, self.frame_samples * 1_000_000_000 // frame.rate)
            line.anchor += more
            self._count("delay_samples", more)

    def _hear_sooner(self, line: _Timeline, now_ns: int) -> None:
        """Leaves a frame out, crossfaded."""
        if line.delay is None or line.anchor is None or not line.inputs:
            return
        less = line.delay.note_spare(min(item.in_hand for item in line.inputs), now_ns)
        if less:
            self._fade_out(line)
            line.anchor -= less
            self._count("delay_samples", -less)

    def _fade_out(self, line: _Timeline) -> None:
        for item in line.inputs:
            tail, rest = item.fade_out(), line.tails.get(item.spec.name)
            if rest is not None:
                tail[: len(rest)] += rest
            line.tails[item.spec.name] = tail

    def _note_state(self, item: AlignInput, frame: Frame) -> bool:
        """END and idle carry no samples; True when there is nothing to write."""
        item.idle = bool(frame.flags & Flag.GAP) and frame.samples == 0 and not frame.flags & Flag.END
        if frame.flags & Flag.END:
            item.ended_at = frame.end
        return frame.samples == 0

    def room(self, port: str, samples: int) -> bool:
        """True while `samples` more fit without pushing out what was not heard yet."""
        name, _, standby = port.partition("~")
        item = self.inputs[name]
        ring = item.standby if standby and item.standby else item.ring
        return ring.end - ring.floor + samples <= item.spec.capacity_samples

    def cancel(self, timeline: str, generation: int) -> None:
        """Nothing older than `generation` is heard again, but for a fade of what would have come next."""
        line = self.timelines.get(timeline)
        if line is None or generation <= line.generation:
            return
        line.generation = generation
        self._fade_out(line)
        for item in line.inputs:
            item.forget()
        line.anchor = None if self._live else line.anchor
        line.since_ns = None

    def ready(self) -> bool:
        """Offline: every input that has not ended is known for a whole frame."""
        return all(
            item.ended_at is not None or item.ring.end - item.ring.floor >= self.frame_samples
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
        """Offline: samples until the last input's end, at most a frame."""
        ends = [item.ended_at for item in self.inputs.values()]
        if any(end is None for end in ends):
            return self.frame_samples
        return min(self.frame_samples, max(end for end in ends if end is not None) - position)

    def tick(self, position: int, n: int, now_ns: int) -> dict[str, tuple[Samples, Flag]]:
        """Every input's samples for output span [position, position + n)."""
        for line in self.timelines.values():
            if line.anchor is None:
                self._try_anchor(line, position, now_ns)
            self._hear_sooner(line, now_ns)
        return {name: self._read(item, position, n) for name, item in self.inputs.items()}

    def _read(self, item: AlignInput, position: int, n: int) -> tuple[Samples, Flag]:
        line = self.timelines[item.spec.timeline]
        flags = Flag.NONE
        if line.anchor is None:
            block = np.zeros((n, item.spec.channels), np.float32)
        else:
            block, missing = item.read(position - line.anchor, n)
            flags = self._judge(item, missing)
        return self._with_tail(line, item.spec.name, block), flags

    def _judge(self, item: AlignInput, missing: int) -> Flag:
        if not missing:
            return Flag.NONE
        self._count("idle_samples" if item.idle else "concealed_samples", missing)
        if item.idle:
            return Flag.NONE
        if item.spec.on_loss == "fail":
            raise NodeError(f"input {item.spec.name!r} ran dry and its on_loss is 'fail'")
        return Flag.CONCEALED

    def _with_tail(self, line: _Timeline, name: str, block: Samples) -> Samples:
        tail = line.tails.pop(name, None)
        if tail is None:
            return block
        block = block.copy()
        used = min(len(block), len(tail))
        block[:used] += tail[:used]
        if len(tail) > used:
            line.tails[name] = tail[used:]
        return block

    def _try_anchor(self, line: _Timeline, position: int, now_ns: int) -> None:
        """Anchors when every input of the timeline is there and due, or when patience ends."""
        if line.since_ns is None:
            return
        here = [item for item in line.inputs if item.first is not None]
        start = max((max(item.first or 0, item.ring.floor) for item in here), default=None)
        waited = now_ns - line.since_ns > PATIENCE_NS
        if start is None:
            start = self._standby_start(line) if waited else None
        if start is None or (len(here) < len(line.inputs) and not waited):
            return
        start += self._overdue(here, start, now_ns)
        complete = all(item.run(start) >= self.frame_samples and now_ns >= item.due_at(start) for item in here)
        if complete or waited:
            line.anchor = position - start

    def _overdue(self, here: list[AlignInput], start: int, now_ns: int) -> int:
        """Samples, in whole frames, by which an eager timeline can begin later and still be in time."""
        if not here or not here[0].spec.eager:
            return 0
        spare = [(now_ns - item.due_at(start)) * item.rate // 1_000_000_000 for item in here]
        held = [item.run(start) - self.frame_samples for item in here]
        return max(min(spare + held), 0) // self.frame_samples * self.frame_samples

    def _standby_start(self, line: _Timeline) -> int | None:
        starts = [
            max(item.standby_first, item.standby.floor)
            for item in line.inputs
            if item.standby is not None and item.standby_first is not None
        ]
        return max(starts, default=None)

    def skip_to(self, position: int) -> None:
        """The node was held up: what should have been heard meanwhile is gone."""
        for line in self.timelines.values():
            for item in line.inputs if line.anchor is not None else ():
                item.ring.discard_before(position - (line.anchor or 0))

    def captured_at(self, end: int) -> dict[int, int]:
        """When each live source's sample that is put out just before `end` was captured, by the source's tag."""
        times: dict[int, int] = {}
        for line in self.timelines.values():
            for item in line.inputs if line.anchor is not None else ():
                if item.capture is None or item.idle or item.ended_at is not None:
                    continue
                position, host_ns, rate = item.capture
                at = host_ns + round((end - (line.anchor or 0) - position) / rate * 1e9)
                for tag, younger_us in item.sources or ((item.tag, 0),):
                    times[tag] = min(times.get(tag, at + younger_us * 1000), at + younger_us * 1000)
        return times

    def resize(self, port: str, capacity_samples: int) -> None:
        """A larger buffer, before anything has come."""
        item = self.inputs[port.partition("~")[0]]
        if item.first is None and item.standby_first is None and capacity_samples > item.spec.capacity_samples:
            item.allocate(capacity_samples)

    def absent(self, name: str) -> None:
        """Nothing will ever come here (an optional node that is not there)."""
        self.inputs[name].ended_at = 0
        line = self.timelines[self.inputs[name].spec.timeline]
        line.inputs = [item for item in line.inputs if item.spec.name != name]

    def heard(self, position: int) -> dict[str, int]:
        """By timeline, the input position that is put out at `position`."""
        return {name: position - line.anchor for name, line in self.timelines.items() if line.anchor is not None}
