"""The links that lead into a node: opened, taken away, and followed one by another while it runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import zmq

from audio_pipeline.align.aligner import Aligner
from audio_pipeline.align.input import AlignSpec
from audio_pipeline.dsp.mute import Mute
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.links.consumer import InPort
from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.links.messages import InSpec
from audio_pipeline.links.ports import Continuity, Converter
from audio_pipeline.refs import LinkKey
from audio_pipeline.worker.core import Core
from audio_pipeline.worker.splice import PATIENCE_NS, Splice

FADE_MS = 10  # what is missing; one link follows another in twice as much
LEAVE_NS = 300_000_000  # a producer that does not answer a bye by then is not there


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


class Inputs:
    """All links into one node."""

    def __init__(self, core: Core, context: zmq.Context[Any]) -> None:
        self.core, self.job, self.node = core, core.job, core.node
        self._context = context
        self._serial = itertools.count(1)
        self.links: dict[LinkKey, Input] = {}
        self.current: dict[LinkKey, LinkKey] = {}  # by the input itself or its standby, serial 0: the link wanted there
        self.splices: dict[str, tuple[Splice, LinkKey]] = {}  # by the input's name: and the link that leaves
        self.leaving: list[Input] = []
        self.aligner: Aligner | None = None
        for plan in self.job.inputs:
            self._open(at(plan), plan, self.job.epoch << 20)
        if self.node.aligned:
            self.aligner = self._make_aligner()

    def _open(self, key: LinkKey, plan: LinkPlan, instance: int) -> Input:
        spec = InSpec(str(plan.target), plan.endpoint, plan.window, plan.policy)
        count = self.core.count_link(str(plan.source), plan.target.name)
        link = InPort(self._context, spec, self.job.token, instance, count)
        rate, channels = self.node.input_rate(key.input, self.job.rate), self._channels(key.input)
        item = Input(key, plan, link, Converter(rate, channels))
        self.links[key], self.current[at(plan)] = item, key
        return item

    def _channels(self, port: str) -> int | None:
        """What an input wants; where sounds are added up all must have the same, two unless the node says."""
        wanted = self.node.input_channels(port)
        return 2 if wanted is None and self.node.aligned else wanted

    def _spec(self, key: LinkKey, plan: LinkPlan) -> AlignSpec:
        return AlignSpec(key, plan, self._channels(key.input) or 2, plan.align_samples)

    def _make_aligner(self) -> Aligner:
        specs = [self._spec(at(plan), plan) for plan in self.job.inputs if not plan.standby]
        fade = self.job.rate * FADE_MS // 1000
        aligner = Aligner(
            specs,
            frame_samples=self.job.frame_samples,
            fade_samples=fade,
            live=self.job.live,
            count=self.core.ctx.count,
        )
        for timeline, (anchor, generation) in self.job.anchors.items():
            aligner.restore(timeline, anchor, generation)
        return aligner

    def at(self, name: str) -> Input:
        """The link that is wanted at an input now."""
        return self.links[self.current[LinkKey(name)]]

    def timeline_of(self, item: Input) -> str:
        """That of the link itself, or of the one that it stands by for."""
        return self.links.get(item.key.main, item).plan.timeline

    def adopt(self, plans: Iterable[LinkPlan]) -> None:
        """The true latencies, windows and buffers, before anything has come."""
        for plan in plans:
            if at(plan) not in self.current:
                continue  # it was started for an earlier graph, and is told of this one next
            item = self.links[self.current[at(plan)]]
            item.plan = replace(
                item.plan,
                latency_ms=plan.latency_ms,
                budget_ms=plan.budget_ms,
                window=plan.window,
                align_samples=plan.align_samples,
            )
            item.link.grant.window = plan.window
            if self.aligner is not None:
                self.aligner.resize(item.key, plan.align_samples)

    # -- changes ------------------------------------------------------------------------------------

    def rewire(self, plans: Iterable[LinkPlan], now_ns: int) -> None:
        """These are the links that are wanted, whatever was before; those that stay lose nothing."""
        wanted = {at(plan): plan for plan in plans}
        for place in [place for place in self.current if place not in wanted]:
            self._disconnect(place, now_ns)
        for place, plan in sorted(wanted.items(), key=lambda item: item[0].standby):
            key = self.current.get(place)
            before = self.links.get(key) if key is not None else None
            if before is None or before.plan.source != plan.source:
                self._connect(plan, before, now_ns)
            elif before.plan.timeline != plan.timeline and not plan.standby:
                before.next_plan, before.since_ns = plan, now_ns
            else:
                self._adopt(before, plan)

    def _adopt(self, item: Input, plan: LinkPlan) -> None:
        item.plan, item.next_plan = plan, None
        item.link.grant.window = plan.window
        if self.aligner is None:
            item.mute.turn(plan.muted)
        elif not plan.standby:
            self.aligner.adopt(self._spec(item.key, plan))

    def _connect(self, plan: LinkPlan, before: Input | None, now_ns: int) -> None:
        serial = next(self._serial)
        if plan.standby:
            self._connect_standby(plan, before, serial, now_ns)
            return
        key = LinkKey(plan.target.input, serial)
        if self.aligner is not None:
            self._leave(self.aligner.connect(self._spec(key, plan), now_ns), now_ns)
        elif before is not None:
            self._splice(plan, before, now_ns)
        item = self._open(key, plan, (self.job.epoch << 20) + serial)
        item.link.since = self._since(plan, before)
        self.core.watch(item.link.socket)
        if self.aligner is not None and before is not None:
            self._take_standby(before.key, item)

    def _take_standby(self, before: LinkKey, item: Input) -> None:
        """The link that stood by for the old one stands by for the new one, if there is one at all."""
        standby = self.links.pop(before.bypass, None)
        if standby is not None:
            standby.key = item.key.bypass
            self.links[standby.key] = standby
            self.current[at(standby.plan)] = standby.key

    def _connect_standby(self, plan: LinkPlan, before: Input | None, serial: int, now_ns: int) -> None:
        if before is not None:
            self._leave([before.key], now_ns)
        key = self.current[at(plan).main].bypass
        item = self._open(key, plan, (self.job.epoch << 20) + serial)
        item.link.since = self._since(plan, None)
        self.core.watch(item.link.socket)

    def _splice(self, plan: LinkPlan, before: Input, now_ns: int) -> None:
        name = plan.target.input
        if name in self.splices:  # overtaken: what was coming is what leaves now
            self._leave([self.splices.pop(name)[1]], now_ns)
        if plan.events:
            self._leave([before.key], now_ns)
            return
        fade = 2 * self.job.rate * FADE_MS // 1000
        rate = before.converter.rate
        joined = plan.timeline == before.plan.timeline
        splice = Splice(fade * rate // self.job.rate, before.end, now_ns, joined=joined)
        self.splices[name] = (splice, before.key)

    def _disconnect(self, place: LinkKey, now_ns: int) -> None:
        key, name = self.current.pop(place), place.input
        if place.standby or self.aligner is None:
            if not place.standby and name in self.splices:
                self._leave([self.splices.pop(name)[1]], now_ns)
            self._leave([key], now_ns)
        else:
            self._leave(self.aligner.disconnect(name, now_ns), now_ns)

    def _since(self, plan: LinkPlan, before: Input | None) -> int | None:
        """From where a new link should be heard: where its timeline is read, or where the old one got to."""
        line = self.aligner.timelines.get(plan.timeline) if self.aligner is not None else None
        if line is not None and line.anchor is not None:
            return max(round(self.core.ctx.position_at(self.core.clock.now_ns())) - line.anchor, 0)
        if self.aligner is None and before is not None and before.plan.timeline == plan.timeline:
            return before.raw_end
        return None

    def enter_timeline(self, item: Input, now_ns: int) -> None:
        """The producer of a link has gone over to another timeline."""
        plan, item.next_plan = item.next_plan, None
        assert plan is not None
        if self.aligner is None:
            item.plan = plan
            if self._is_first(plan.target.input):
                self.core.enter_timeline(plan.timeline)
            return
        key = LinkKey(plan.target.input, next(self._serial))
        gone = self.aligner.connect(self._spec(key, plan), now_ns)
        before, item.key, item.plan = item.key, key, plan
        self.links[key] = self.links.pop(before)
        self.current[at(plan)] = key
        self._take_standby(before, item)
        self._leave(gone, now_ns)

    def _is_first(self, name: str) -> bool:
        """True for the input whose timeline is that of what the node puts out."""
        return name == next(iter(self.current)).input

    def _leave(self, keys: Iterable[LinkKey], now_ns: int) -> None:
        """Lets go of links, with what stood by for them."""
        for key in keys:
            for each in dict.fromkeys((key, key.bypass)):
                item = self.links.pop(each, None)
                if item is None:
                    continue
                if self.current.get(at(item.plan)) == each:
                    del self.current[at(item.plan)]
                item.link.leave()
                item.since_ns = now_ns
                self.leaving.append(item)

    def retire(self, now_ns: int) -> None:
        """The node is taken away: it takes nothing more."""
        self._leave([key for key in list(self.links) if not key.standby], now_ns)

    def turn(self, position: int, now_ns: int) -> Iterator[tuple[Input, Frame]]:
        """Moves changes on; frames that the node gets because of that, each with its link."""
        if self.aligner is not None:
            n = self.job.frame_samples
            deadline_ns = self.core.ctx.host_ns_at(position + n)
            self._leave(self.aligner.turn(position, n, now_ns, deadline_ns), now_ns)
        for name, (splice, key) in list(self.splices.items()):
            yield from self._handed_on(self.links[key], splice, splice.turn(now_ns))
            if splice.over and name in self.splices:
                self._finish(name, splice, key, now_ns)
        for item in [item for item in self.links.values() if item.next_plan is not None]:
            if now_ns - item.since_ns > PATIENCE_NS:
                self.enter_timeline(item, now_ns)
        self._let_go(now_ns)

    def _handed_on(self, item: Input, splice: Splice, frames: Iterable[Frame]) -> Iterator[tuple[Input, Frame]]:
        """Frames with their links: the node goes over to another timeline between the last of the old one and the
        first of the new one, since all that it puts out from there on is counted on it."""
        for frame in frames:
            if frame is splice.begins:
                name = item.key.input
                self._finish(name, splice, self.splices[name][1], self.core.clock.now_ns())
                item = self.at(name)
            yield item, frame

    def _finish(self, name: str, splice: Splice, key: LinkKey, now_ns: int) -> None:
        del self.splices[name]
        item, before = self.at(name), self.links[key].plan.timeline
        item.floor = splice.floor
        self._leave([key], now_ns)
        if item.plan.timeline != before and self._is_first(name):
            self.core.enter_timeline(item.plan.timeline)

    def _let_go(self, now_ns: int) -> None:
        for item in list(self.leaving):
            item.link.handle()
            if item.link.left or now_ns - item.since_ns > LEAVE_NS:
                self.core.unwatch(item.link.socket)
                item.link.close()
                self.leaving.remove(item)

    def discard_events(self) -> None:
        """A source that has ended hears no more, but nobody who told it something may wait for it to."""
        for item in self.links.values():
            while item.plan.events and item.link.take() is not None:
                item.link.dropped("cancelled")

    def is_heard(self, item: Input) -> bool:
        """False while the link only waits for its turn."""
        splice, leaving = self.splices.get(item.key.input, (None, None))
        return splice is None or splice.over or item.key == leaving

    def cancel(self, keys: set[LinkKey]) -> None:
        """What was held of these links is wanted no more: a change on them is over now."""
        for name, (splice, key) in self.splices.items():
            if key in keys or self.current[LinkKey(name)] in keys:
                splice.cancel()

    @property
    def changing(self) -> bool:
        """True while a change is not through."""
        busy = self.splices or self.leaving or any(item.next_plan for item in self.links.values())
        return bool(busy) or (self.aligner is not None and not self.aligner.settled)

    def spliced(self, item: Input, frame: Frame) -> Iterable[tuple[Input, Frame]]:
        """What the node gets of a converted frame, in view of a link that leaves or comes, and of which link."""
        item.end = frame.end if frame.samples else item.end
        if frame.data is not None and frame.samples:
            data = item.mute.process(frame.data)
            frame = frame if data is frame.data else replace(frame, data=data)
        splice, leaving = self.splices.get(item.key.input, (None, None))
        if splice is not None and not splice.over:
            return self._handed_on(item, splice, (splice.old if item.key == leaving else splice.new)(frame))
        if frame.end <= item.floor and frame.samples:
            return ()
        if frame.position < item.floor < frame.end:
            return ((item, frame.cut(item.floor - frame.position)[1]),)
        return ((item, frame),)


def is_beginning(frame: Frame) -> bool:
    """True for the first frame of something that is no neighbour of what came before."""
    return bool(frame.flags & Flag.DISCONTINUITY) and not frame.flags & Flag.REPLAY


def at(plan: LinkPlan) -> LinkKey:
    """Where a link is wanted: an input, or what stands by for it; whichever link is there now."""
    return LinkKey(plan.target.input, standby=plan.standby)
