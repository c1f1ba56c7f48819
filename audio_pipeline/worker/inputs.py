"""Links that come and go while a node runs: one follows another at an input, by position."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from audio_pipeline.frame import Frame
from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.refs import LinkKey
from audio_pipeline.worker.input import FADE_MS, Input
from audio_pipeline.worker.input_links import InputLinks, at
from audio_pipeline.worker.splice import PATIENCE_NS, Splice

LEAVE_NS = 300_000_000  # a producer that does not answer a bye by then is not there


class Inputs(InputLinks):
    """All links into one node, with those that take another's place."""

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
            return max(round(self._clock.position_at(self._clock.now_ns())) - line.anchor, 0)
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
                self._outputs.enter_timeline(plan.timeline)
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
            deadline_ns = self._clock.host_ns_at(position + n)
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
                self._finish(name, splice, self.splices[name][1], self._clock.now_ns())
                item = self.at(name)
            yield item, frame

    def _finish(self, name: str, splice: Splice, key: LinkKey, now_ns: int) -> None:
        del self.splices[name]
        item, before = self.at(name), self.links[key].plan.timeline
        item.floor = splice.floor
        self._leave([key], now_ns)
        if item.plan.timeline != before and self._is_first(name):
            self._outputs.enter_timeline(item.plan.timeline)

    def _let_go(self, now_ns: int) -> None:
        for item in list(self.leaving):
            item.link.handle()
            if item.link.left or now_ns - item.since_ns > LEAVE_NS:
                self._sockets.remove(item.link.socket)
                item.link.close()
                self.leaving.remove(item)

    def discard_events(self) -> None:
        """A source that has ended hears no more, but nobody who told it something may wait for it to."""
        for item in self.links.values():
            while item.plan.events and item.link.take() is not None:
                item.link.dropped("cancelled")

    def is_active(self, item: Input) -> bool:
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
        if self.splices or self.leaving or (self.aligner is not None and not self.aligner.settled):
            return True
        for item in self.links.values():  # a plain loop: it is asked at each turn
            if item.next_plan is not None:
                return True
        return False

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
