"""A node's inputs: frames are taken, judged, converted, and given to the node or to its aligner."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from audio_pipeline.errors import NodeError
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.refs import LinkKey
from audio_pipeline.worker.ages import Ages
from audio_pipeline.worker.core import Core
from audio_pipeline.worker.input import Input, is_beginning
from audio_pipeline.worker.inputs import Inputs

UNTIMED = Flag.REPLAY | Flag.END  # frames whose age says nothing


class Intake:
    """All inputs of one node."""

    def __init__(self, core: Core, links: Inputs) -> None:
        self._core, self.job, self.node, self.ctx = core, core.job, core.node, core.ctx
        self._clock, self._outputs, self._meter = core.clock, core.outputs, core.meter
        self._generations = core.generations
        self._links = links
        self.inputs: Mapping[LinkKey, Input] = links.links  # while one follows another there are two for an input
        self._ages = Ages(core.board)
        self.aligner = links.aligner

    def set_since(self) -> None:
        """After a restart: from where each input should be heard again."""
        for item in self.inputs.values():
            item.link.since = self._since(item)

    def _since(self, item: Input) -> int | None:
        if self.job.incarnation == 0:
            return None
        if self.aligner is not None and item.plan.timeline in self.job.anchors:
            here = self.ctx.position_at(self._clock.now_ns()) - self.job.anchors[item.plan.timeline].position
            return max(round(here), 0)
        wanted = self.node.resume_position(item.key.input)
        if wanted is not None:
            return wanted
        return 0 if self.node.context_samples() else None

    def turn(self, position: int) -> bool:
        """Moves changes of links on; True if the node got something of it."""
        if not self._links.changing:
            return False
        moved = False
        for item, frame in self._links.turn(position, self._clock.now_ns()):
            self._give(item, frame, spliced=True)
            moved = True
        return moved

    def mark_absent(self, node: str) -> None:
        """Nothing will ever come from an optional node that is not there."""
        for item in self._from(node):
            item.ended = item.absent = True
            if self.aligner is not None and not item.key.standby:
                self.aligner.absent(item.key)

    def mark_present(self, node: str) -> None:
        """A node that was given up is back, or is waited for again."""
        for item in self._from(node):
            if item.absent:
                item.ended = item.absent = False
                if self.aligner is not None and not item.key.standby:
                    self.aligner.present(item.key)

    def _from(self, node: str) -> list[Input]:
        return [item for item in self.inputs.values() if item.plan.source.node == node]

    @property
    def waiting(self) -> bool:
        """True while frames lie here that can be taken."""
        for item in self.inputs.values():  # a plain loop: it is asked at each turn
            if item.link.queue and self._accepts(item, item.link.queue[0]):
                return True
        return False

    @property
    def finished(self) -> bool:
        """True when every input has ended and was used up."""
        if self.aligner is not None:
            return self.aligner.ended
        for item in self.inputs.values():
            if not item.ended:
                return False
        return bool(self.inputs)

    def take(self) -> bool:
        """Uses what has come; True if anything had."""
        moved = False
        for item in tuple(self.inputs.values()):
            link = item.link
            if link.refused:
                raise NodeError(f"input {item.plan.target.name!r} was refused by {item.plan.source}: {link.refused}")
            while link.queue and self._accepts(item, link.queue[0]):
                frame = link.take()
                if frame is not None:
                    self._use(item, frame)
                    moved = True
        return moved

    def _accepts(self, item: Input, frame: Frame) -> bool:
        """Offline nothing is lost, so nothing is taken before there is room for it."""
        if self.job.live:
            return True
        if self.aligner is not None:
            at = item.converter.map_position(frame.position, frame.rate)
            return self.aligner.has_capacity(item.key, 2 * frame.samples, at, self._clock.now_ns())
        return self._outputs.has_capacity

    def _use(self, item: Input, frame: Frame) -> None:
        if item.next_plan is not None and is_beginning(frame):
            self._links.enter_timeline(item, self._clock.now_ns())
        taken_ns = self._clock.now_ns()
        reason = self._useless(item, frame, taken_ns)
        if reason:
            item.link.dropped(reason)
            return
        item.link.used()
        if frame.event is not None:
            self.node.on_event(item.key.input, frame.event, frame.position, self.ctx)
        elif self.aligner is not None:
            self._align(item, frame)
        else:
            self._process(item, frame)
        if frame.captured_ns and self.job.live and not frame.flags & UNTIMED:
            self._ages.note(item.plan.target.name, frame, taken_ns)  # last: whoever waits for the sound has it by now
            if self.aligner is None:
                self._meter.waited(taken_ns - frame.captured_ns - frame.sent_age_us * 1000)

    def _useless(self, item: Input, frame: Frame, now_ns: int) -> str:
        """Why a frame is dropped at the gateway, or an empty string."""
        known = self._generations.get(item.plan.timeline, 0)
        if frame.generation < known:
            return "cancelled"
        if frame.generation > known:
            self.enter_generation(item.plan.timeline, frame.generation)
        if not self.job.live or self.aligner is not None or item.plan.policy == "block":
            return ""
        if frame.flags & UNTIMED or frame.samples == 0 or not frame.captured_ns:
            return ""
        delay_ns = now_ns - frame.captured_ns - frame.sent_age_us * 1000
        return "stale" if delay_ns > item.plan.budget_ms * 1e6 else ""

    def _align(self, item: Input, frame: Frame) -> None:
        assert self.aligner is not None
        if item.plan.timeline != self._links.timeline_of(item):
            return  # stands by for a link that has not come to this timeline yet
        frame = item.converter.convert(frame)
        if frame.flags & Flag.END:
            item.ended = True
        reason = self.aligner.push(item.key, frame, self._links.due_on(item.plan, frame), self._clock.now_ns())
        if reason:
            self.ctx.count(f"{reason}_frames")

    def _process(self, item: Input, frame: Frame) -> None:
        if not frame.flags and not self._links.splices and item.passes(frame, repair=self.node.continuous):
            self._give(item, frame, spliced=False)  # as nearly always
            return
        if frame.samples == 0 and frame.flags & Flag.GAP and not frame.flags & Flag.END and self._links.is_active(item):
            self._pass_idle(item, frame)
        began = item.continuity.expected is not None
        item.raw_end = frame.end if frame.samples else item.raw_end
        frames = [frame] if not self.node.continuous else item.continuity.repair(frame)
        for whole in frames:
            if whole.flags & Flag.DISCONTINUITY and began:
                item.converter.reset()
                if self._links.is_active(item):
                    self.node.reset(whole.position, "discontinuity", self.ctx)
            spliced = item.key.input in self._links.splices
            for link, part in self._links.spliced(item, item.converter.convert(whole)):
                self._give(link, part, spliced=spliced)
        if frame.flags & Flag.END:
            item.ended = True
            if item.plan.events:
                self.node.on_events_end(item.key.input, self.ctx)

    def _give(self, item: Input, frame: Frame, *, spliced: bool) -> None:
        """To the node."""
        if spliced and is_beginning(frame):
            self.node.reset(frame.position, "discontinuity", self.ctx)
        self.ctx.note_input(frame, item.plan.timeline)
        if frame.samples or (not self.node.continuous and not frame.flags & Flag.END):
            if not self._core.scheduled:
                self.node.process({item.key.input: frame}, self.ctx)
                return
            for part in self._parts(frame):
                self._core.reached(part.position)
                self.node.process({item.key.input: part}, self.ctx)

    def _parts(self, frame: Frame) -> Iterator[Frame]:
        """The frame, cut where a scheduled setting changes inside it."""
        while (first := self._core.until_change(frame.position, frame.samples)) < frame.samples:
            head, frame = frame.cut(first)
            yield head
        yield frame

    def _pass_idle(self, item: Input, frame: Frame) -> None:
        """Idle is not dead, also for those further down."""
        for out in self._outputs:
            if out.timeline == item.plan.timeline and frame.generation == out.framer.generation:
                self._outputs.send(frame, out.port)
            elif self.node.bridge and not out.events:
                at, generation = out.framer.end or 0, out.framer.generation
                self._outputs.send(dataclasses.replace(frame, position=at, generation=generation), out.port)

    def enter_generation(self, timeline: str, generation: int) -> None:
        """From here on nothing older of this timeline is used, sent or remembered. The one place that says so."""
        core = self._core
        if generation <= core.generations.get(timeline, 0):
            return
        core.generations[timeline] = generation
        core.ctx.wanted_generation = max(core.ctx.wanted_generation, generation)
        self._forget_timeline(timeline, generation)
        core.outputs.cancel(timeline, generation)
        own = {out.timeline for out in core.outputs} or {item.plan.timeline for item in self.inputs.values()}
        if timeline in own:
            # its END was of what is cancelled now; a mixer's END is of its own timeline
            core.ended = core.flushed = False

    def _forget_timeline(self, timeline: str, generation: int) -> None:
        """Drops what is older than `generation`, here and inside the node."""
        mine = [item for item in self.inputs.values() if item.plan.timeline == timeline]
        for item in mine:
            item.forget(generation)
        if self.aligner is not None:
            self.aligner.cancel(timeline, generation)
        elif mine:
            self._links.cancel({item.key for item in mine})
            self.node.reset(-1, "cancel", self.ctx)

    def send_due(self, now_ns: int) -> None:
        """Greets producers and grants credit."""
        for item in self.inputs.values():
            item.link.send_due(now_ns)

    def close(self, now_ns: int) -> None:
        for item in (*self.inputs.values(), *self._links.leaving):
            item.link.send_due(now_ns + 10**9)
            item.link.close()
