"""Puts several inputs in step: by position, at the clock's deadline when live, completely when offline.

Each timeline (a song, a microphone) is anchored once per generation: output position = input position +
anchor. All inputs of one timeline share the anchor, so a voice, a band and the dry song they came from
stay sample-aligned whatever their latencies. What is not there at its deadline is replaced as the input's
`on_loss` says, with a fade that begins where the true samples end: nothing has to be known ahead.

A link that takes another's place at an input has a ring of its own until both have been heard for the length
of a fade. All changes that were asked together begin at the same sample.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from audio_pipeline.align_handover import PATIENCE_NS, Handover
from audio_pipeline.align_input import AlignInput, AlignSpec
from audio_pipeline.align_line import Count, Timeline
from audio_pipeline.align_room import grow_if_stuck, has_room, known_through
from audio_pipeline.dsp.fade import blended
from audio_pipeline.errors import NodeError
from audio_pipeline.frame import Flag, Frame, Samples

__all__ = ["AlignSpec", "Aligner"]


class Aligner:
    """The rings, anchors and fades of a node with several inputs."""

    def __init__(
        self, specs: Iterable[AlignSpec], *, frame_samples: int, fade_samples: int, live: bool, count: Count
    ) -> None:
        self.frame_samples = frame_samples
        self._fade = fade_samples
        self._live = live
        self._count = count
        self.inputs: dict[str, AlignInput] = {}
        self.timelines: dict[str, Timeline] = {}
        self.ports: dict[str, str] = {}  # the node's inputs: by name, the link that is wanted there
        self._handovers: dict[str, Handover] = {}
        self._mutes: dict[str, bool] = {}
        for spec in specs:
            self.ports[spec.port] = self._add(spec).spec.name

    def _add(self, spec: AlignSpec) -> AlignInput:
        item = self.inputs[spec.name] = AlignInput(spec, self.frame_samples, self._fade, live=self._live)
        if spec.timeline not in self.timelines:
            line = Timeline(self.frame_samples, self._live, self._count, anchor=None if self._live else 0)
            self.timelines[spec.timeline] = line
        self.timelines[spec.timeline].join(item)
        return item

    def _line(self, item: AlignInput) -> Timeline:
        return self.timelines[item.spec.timeline]

    def restore(self, timeline: str, anchor: int, generation: int) -> None:
        """Takes a predecessor's anchor, so that a restart changes nothing of what is heard when."""
        line = self.timelines.get(timeline)
        if line is not None:
            line.anchor, line.generation = anchor, generation

    # -- what comes ---------------------------------------------------------------------------------

    def push(self, port: str, frame: Frame, due_ns: int, now_ns: int) -> str | None:
        """Takes a frame for `name` or `name~bypass`; the reason if it is of no use any more."""
        name, _, standby = port.partition("~")
        item = self.inputs[name]
        line = self._line(item)
        if frame.generation < line.generation:
            return "cancelled"
        if frame.generation > line.generation:
            self.cancel(item.spec.timeline, frame.generation)
        if not standby and self._note_state(item, frame):
            return None
        ring = item.standby if standby else item.ring
        if ring is None:
            return "unused"
        if frame.flags & Flag.CONCEALED:
            (item.standby_made_up if standby else item.made_up).note(frame.position, frame.end)
        late = ring.write(frame.position, frame.audio()).late_samples
        if standby and item.standby_first is None and frame.samples:
            item.standby_first = frame.position
        if not standby:
            self._count("late_samples", late if item.heard else 0)
            line.hear_later(frame, late if item.heard else 0, now_ns)
            item.capture, item.sources = (frame.end, frame.captured_ns, frame.rate), frame.sources
            if item.first is None and frame.samples > late:
                item.first, item.due_ns = max(frame.position, ring.floor), due_ns
        if line.since_ns is None and frame.samples:
            line.since_ns = now_ns
        return "late" if frame.samples and late == frame.samples and item.heard else None

    def _note_state(self, item: AlignInput, frame: Frame) -> bool:
        """END and idle carry no samples; True when there is nothing to write."""
        item.idle = bool(frame.flags & Flag.GAP) and frame.samples == 0 and not frame.flags & Flag.END
        if frame.flags & Flag.END:
            item.ended_at = frame.end
        return frame.samples == 0

    def room(self, port: str, samples: int, position: int | None = None, now_ns: int = 0) -> bool:
        """Offline: True while `samples` more fit, at `position` or next, without pushing out what was not heard yet."""
        name, _, standby = port.partition("~")
        item = self.inputs[name]
        if standby:  # nobody dies offline without ending the run: what stands by must not stall anybody
            return True
        position = item.ring.end if position is None else position
        while not has_room(item, position, samples):
            others = [other for other in self.inputs.values() if other is not item]
            if not grow_if_stuck(item, others, self.frame_samples, now_ns, self._count):
                return False
        return True

    def cancel(self, timeline: str, generation: int) -> None:
        """Nothing older than `generation` is heard again, but for a fade of what would have come next."""
        line = self.timelines.get(timeline)
        if line is not None and generation > line.generation:
            line.cancel(generation)

    def absent(self, name: str) -> None:
        """Nothing will ever come here (an optional node that is not there)."""
        item = self.inputs[name]
        item.ended_at = 0
        self._line(item).part(item)

    # -- links that come and go ----------------------------------------------------------------------

    def connect(self, spec: AlignSpec, now_ns: int) -> list[str]:
        """From now on `spec.port` is to be heard from this link; names of links that are let go at once."""
        gone = self._hurry(spec.port)
        before = self.ports.get(spec.port)
        item = self._add(spec)
        item.heard = False
        self.ports[spec.port] = spec.name
        leaving = self.inputs[before] if before is not None else None
        if leaving is not None and spec.standby and leaving.standby is not None:
            item.standby, item.standby_first = leaving.standby, leaving.standby_first
            leaving.standby = None
        self._handovers[spec.port] = Handover(leaving, item, now_ns)
        return gone

    def disconnect(self, port: str, now_ns: int) -> list[str]:
        """Fades a port to silence, then takes it away."""
        gone = self._hurry(port)
        self._handovers[port] = Handover(self.inputs[self.ports[port]], None, now_ns)
        return gone

    def _hurry(self, port: str) -> list[str]:
        """A change that another one overtakes is over now."""
        handover = self._handovers.pop(port, None)
        return [] if handover is None else self._part(handover)

    def _part(self, handover: Handover) -> list[str]:
        item = handover.leaving
        if handover.coming is not None:
            handover.coming.heard = True
        if item is None:
            return []
        line = self._line(item)
        line.part(item)
        if not line.inputs:
            del self.timelines[item.spec.timeline]
        del self.inputs[item.spec.name]
        if self.ports.get(item.spec.port) == item.spec.name:
            del self.ports[item.spec.port]
        return [item.spec.name]

    def adopt(self, spec: AlignSpec) -> None:
        """Other terms for a link that stays."""
        item = self.inputs[spec.name]
        if item.spec.muted != spec.muted:
            self._mutes[spec.name] = spec.muted
        item.adopt(spec)
        self._line(item).be_eager(spec)

    def turn(self, position: int, n: int, now_ns: int, deadline_ns: int) -> list[str]:
        """Begins what is ready and ends what is over; names of links that can be let go.

        The span at output `position` is put out next, at `deadline_ns`.
        """
        for handover in self._handovers.values():
            self._wait_for(handover, position, deadline_ns)
        waiting = [handover for handover in self._handovers.values() if not handover.begun]
        if all(self._ready(handover, position, n, now_ns) for handover in waiting):
            self._begin(waiting)
        over = [port for port, handover in self._handovers.items() if handover.done >= 2 * self._fade]
        return [name for port in over for name in self._part(self._handovers.pop(port))]

    def _wait_for(self, handover: Handover, position: int, deadline_ns: int) -> None:
        """What comes keeps up with what is heard; a microphone behind a slower path is heard later from now on."""
        item = handover.coming
        if item is None or handover.begun or (anchor := self._line(item).anchor) is None:
            return
        item.ring.discard_before(position - anchor)
        late_ns = item.due_at(position - anchor) - deadline_ns
        if late_ns > 0 and item.first is not None and self._line(item).delay is not None:
            frames = -(-late_ns * item.rate // (1_000_000_000 * self.frame_samples))
            self._line(item).shift(int(frames) * self.frame_samples)

    def _ready(self, handover: Handover, position: int, n: int, now_ns: int) -> bool:
        anchor = self._line(handover.coming).anchor if handover.coming is not None else None
        here = None if anchor is None else position - anchor
        return handover.ready(here, n) or now_ns - handover.asked_ns > PATIENCE_NS

    def _begin(self, waiting: list[Handover]) -> None:
        for handover in waiting:
            handover.begun = True
            if handover.coming is not None:
                handover.coming.heard = True
        for name, muted in self._mutes.items():
            if name in self.inputs:
                self.inputs[name].mute(muted)
        self._mutes = {}

    @property
    def settled(self) -> bool:
        """True when nothing waits to be heard or to be let go."""
        return not self._handovers and not self._mutes

    # -- what is heard -------------------------------------------------------------------------------

    def tick(self, position: int, n: int, now_ns: int) -> dict[str, tuple[Samples, Flag]]:
        """Every input's samples for output span [position, position + n)."""
        for line in self.timelines.values():
            if line.anchor is None:
                line.try_anchor(position, now_ns)
            line.hear_sooner(now_ns)
        return {port: self._heard(port, position, n) for port in self.ports}

    def _heard(self, port: str, position: int, n: int) -> tuple[Samples, Flag]:
        handover = self._handovers.get(port)
        if handover is None:
            return self._read(self.inputs[self.ports[port]], position, n)
        nothing = np.zeros((n, handover.channels), np.float32), Flag.NONE
        old, flags = self._read(handover.leaving, position, n) if handover.leaving else nothing
        if not handover.begun:
            return old, flags
        new, flags = self._read(handover.coming, position, n) if handover.coming else nothing
        block = blended(old, new, handover.done, 2 * self._fade)
        handover.done += n
        return block, flags

    def _read(self, item: AlignInput, position: int, n: int) -> tuple[Samples, Flag]:
        line = self._line(item)
        flags = Flag.NONE
        if line.anchor is None:
            block = np.zeros((n, item.spec.channels), np.float32)
        else:
            block, missing = item.read(position - line.anchor, n)
            flags = self._judge(item, missing)
        return line.with_tail(item.spec.name, block), flags

    def _judge(self, item: AlignInput, missing: int) -> Flag:
        if not missing or item.spec.muted:
            return Flag.NONE
        self._count("idle_samples" if item.idle else "concealed_samples", missing)
        if item.idle:
            return Flag.NONE
        if item.spec.on_loss == "fail":
            raise NodeError(f"input {item.spec.port!r} ran dry and its on_loss is 'fail'")
        return Flag.CONCEALED

    def skip_to(self, position: int) -> None:
        """The node was held up: what should have been heard meanwhile is gone."""
        for line in self.timelines.values():
            line.skip_to(position)

    def captured_at(self, end: int) -> dict[int, int]:
        """When each live source's sample that is put out just before `end` was captured, by the source's tag."""
        times: dict[int, int] = {}
        for line in self.timelines.values():
            for item in line.inputs if line.anchor is not None else ():
                if item.capture is None or not item.heard or item.idle or item.ended_at is not None:
                    continue
                position, host_ns, rate = item.capture
                at = host_ns + round((end - (line.anchor or 0) - position) / rate * 1e9)
                for tag, younger_us in item.sources or ((item.tag, 0),):
                    times[tag] = min(times.get(tag, at + younger_us * 1000), at + younger_us * 1000)
        return times

    def resize(self, name: str, capacity_samples: int) -> None:
        """A larger buffer, before anything has come."""
        item = self.inputs[name.partition("~")[0]]
        if item.first is None and item.standby_first is None and capacity_samples > item.spec.capacity_samples:
            item.allocate(capacity_samples)

    def heard(self, position: int) -> dict[str, int]:
        """By timeline, the input position that is put out at `position`."""
        return {name: position - line.anchor for name, line in self.timelines.items() if line.anchor is not None}

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
