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

from audio_pipeline.align.handover import PATIENCE_NS, Handover
from audio_pipeline.align.input import AlignInput, AlignSpec
from audio_pipeline.align.line import Count
from audio_pipeline.align.rings import Rings
from audio_pipeline.dsp.fade import blended
from audio_pipeline.errors import NodeError
from audio_pipeline.frame import Flag, Samples
from audio_pipeline.refs import LinkKey


class Aligner(Rings):
    """The rings, anchors and fades of a node with several inputs."""

    def __init__(
        self, specs: Iterable[AlignSpec], *, frame_samples: int, fade_samples: int, live: bool, count: Count
    ) -> None:
        super().__init__(specs, frame_samples=frame_samples, fade_samples=fade_samples, live=live, count=count)
        self._handovers: dict[str, Handover] = {}
        self._mutes: dict[LinkKey, bool] = {}

    # -- links that come and go ----------------------------------------------------------------------

    def connect(self, spec: AlignSpec, now_ns: int) -> list[LinkKey]:
        """From now on `spec.key.input` is to be heard from this link; keys of links that are let go at once."""
        gone = self._hurry(spec.key.input)
        before = self.ports.get(spec.key.input)
        item = self._add(spec)
        item.audible = False
        self.ports[spec.key.input] = spec.key
        leaving = self.inputs[before] if before is not None else None
        if (
            leaving is not None
            and leaving.standby is not None
            and spec.plan.has_standby
            and leaving.plan.timeline == spec.plan.timeline  # else its positions say nothing here
        ):
            item.standby, item.standby_first = leaving.standby, leaving.standby_first
            leaving.standby = None
        self._handovers[spec.key.input] = Handover(leaving, item, now_ns)
        return gone

    def disconnect(self, port: str, now_ns: int) -> list[LinkKey]:
        """Fades a port to silence, then takes it away."""
        gone = self._hurry(port)
        self._handovers[port] = Handover(self.inputs[self.ports[port]], None, now_ns)
        return gone

    def _hurry(self, port: str) -> list[LinkKey]:
        """A change that another one overtakes is over now."""
        handover = self._handovers.pop(port, None)
        return [] if handover is None else self._part(handover)

    def _part(self, handover: Handover) -> list[LinkKey]:
        item = handover.leaving
        if handover.coming is not None:
            handover.coming.audible = True
        if item is None:
            return []
        self._line(item).part(item)
        del self.inputs[item.key]
        if all(other.plan.timeline != item.plan.timeline for other in self.inputs.values()):
            del self.timelines[item.plan.timeline]  # not before: an absent input waits for nobody, but is still read
        if self.ports.get(item.key.input) == item.key:
            del self.ports[item.key.input]
        return [item.key]

    def adopt(self, spec: AlignSpec) -> None:
        """Other terms for a link that stays."""
        item = self.inputs[spec.key]
        if item.plan.muted != spec.plan.muted:
            self._mutes[spec.key] = spec.plan.muted
        item.adopt(spec)
        self._line(item).be_eager(spec.plan)

    def turn(self, position: int, n: int, now_ns: int, deadline_ns: int) -> list[LinkKey]:
        """Begins what is ready and ends what is over; keys of links that can be let go.

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
                handover.coming.audible = True
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
            line.delay_less(now_ns)
        return {port: self._mixed(port, position, n) for port in self.ports}

    def _mixed(self, port: str, position: int, n: int) -> tuple[Samples, Flag]:
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
            block = np.zeros((n, item.channels), np.float32)
        else:
            block, missing = item.read(position - line.anchor, n)
            flags = self._judge(item, missing)
        return line.with_tail(item.key, block), flags

    def _judge(self, item: AlignInput, missing: int) -> Flag:
        if not missing or item.plan.muted:
            return Flag.NONE
        self._count("idle_samples" if item.idle else "concealed_samples", missing)
        if item.idle:
            return Flag.NONE
        if item.plan.on_loss == "fail":
            raise NodeError(f"input {item.key.input!r} ran dry and its on_loss is 'fail'")
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
                if item.capture is None or not item.audible or item.idle or item.ended_at is not None:
                    continue
                position, host_ns, rate = item.capture
                if not host_ns:  # unknown
                    continue
                at = host_ns + round((end - (line.anchor or 0) - position) / rate * 1e9)
                for tag, younger_us in item.sources or ((item.tag, 0),):
                    times[tag] = min(times.get(tag, at + younger_us * 1000), at + younger_us * 1000)
        return times

    def offsets(self, position: int) -> dict[str, int]:
        """By timeline, the input position that is put out at `position`."""
        return {name: position - line.anchor for name, line in self.timelines.items() if line.anchor is not None}
