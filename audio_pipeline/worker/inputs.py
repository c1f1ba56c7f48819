"""The links that lead into a node: opened, taken away, and followed one by another while it runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import zmq

from audio_pipeline.align.aligner import Aligner, AlignSpec
from audio_pipeline.dsp.mute import Mute
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.graph.job import InJob
from audio_pipeline.links.link import InPort, InSpec
from audio_pipeline.links.ports import Continuity, Converter
from audio_pipeline.worker.core import Core
from audio_pipeline.worker.splice import PATIENCE_NS, Splice

FADE_MS = 10  # what is missing; one link follows another in twice as much
LEAVE_NS = 300_000_000  # a producer that does not answer a bye by then is not there


class Input:
    """One link with its conversion and planned latencies."""

    def __init__(self, key: str, job: InJob, link: InPort, converter: Converter) -> None:
        self.key, self.job, self.link, self.converter = key, job, link, converter
        self.continuity = Continuity()
        self.mute = Mute(job.muted, 2 * converter.rate * FADE_MS // 1000)
        self.latency_ms, self.budget_ms = job.latency_ms, job.budget_ms
        self.ended = self.absent = False
        self.floor = 0  # what lies before it was heard already, from the link before
        self.end: int | None = None  # of what has come, as the node counts
        self.raw_end: int | None = None  # as the link counts
        self.next_job: InJob | None = None  # another timeline, from the next new beginning on
        self.since_ns = 0  # when that was asked, or when it began to leave

    @property
    def base(self) -> str:
        """The node's own name for it: a bypass input belongs to the one it stands in for."""
        return self.job.port.partition("~")[0]


class Inputs:
    """All links into one node, by key: the input's name, with a number behind it where one followed another."""

    def __init__(self, core: Core, context: zmq.Context[Any]) -> None:
        self.core, self.job, self.node = core, core.job, core.node
        self._context = context
        self._serial = itertools.count(1)
        self.links: dict[str, Input] = {}
        self.current: dict[str, str] = {}  # by the node's name (or `name~bypass`): the key that is wanted
        self.splices: dict[str, tuple[Splice, str]] = {}  # by the node's name: and the key that leaves
        self.leaving: list[Input] = []
        self.aligner: Aligner | None = None
        for item in self.job.inputs:
            self._open(item.port, item, self.job.epoch << 20)
        if self.node.aligned:
            self.aligner = self._make_aligner()

    def _open(self, key: str, job: InJob, instance: int) -> Input:
        spec = InSpec(job.port, job.identity, job.endpoint, 0, job.window, job.policy, job.queue)
        link = InPort(self._context, spec, self.job.token, instance, self.core.count_link(job.source, job.port))
        base = job.port.partition("~")[0]
        item = Input(key, job, link, Converter(self.node.input_rate(base, self.job.rate), self._channels(base)))
        self.links[key], self.current[job.port] = item, key
        return item

    def _channels(self, port: str) -> int | None:
        """What an input wants; where sounds are added up all must have the same, two unless the node says."""
        wanted = self.node.input_channels(port)
        return 2 if wanted is None and self.node.aligned else wanted

    def _spec(self, key: str, job: InJob) -> AlignSpec:
        channels = self._channels(job.port) or 2
        return AlignSpec(
            key,
            job.timeline,
            channels,
            job.align_samples,
            job.on_loss,
            job.standby,
            job.eager,
            job.muted,
            job.spare_frames,
        )

    def _make_aligner(self) -> Aligner:
        specs = [self._spec(item.port, item) for item in self.job.inputs if "~" not in item.port]
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

    def at(self, port: str) -> Input:
        """The link that is wanted at an input now."""
        return self.links[self.current[port]]

    def timeline_of(self, item: Input) -> str:
        """That of the link itself, or of the one that it stands by for."""
        main = self.links.get(item.key.partition("~")[0], item)
        return main.job.timeline

    # -- changes ------------------------------------------------------------------------------------

    def rewire(self, jobs: Iterable[InJob], now_ns: int) -> None:
        """These are the links that are wanted, whatever was before; those that stay lose nothing."""
        wanted = {job.port: job for job in jobs}
        for port in [port for port in self.current if port not in wanted]:
            self._disconnect(port, now_ns)
        for port, job in sorted(wanted.items(), key=lambda item: "~" in item[0]):
            before = self.links.get(self.current.get(port, ""))
            if before is None or before.job.source != job.source:
                self._connect(job, before, now_ns)
            elif before.job.timeline != job.timeline and "~" not in port:
                before.next_job, before.since_ns = job, now_ns
            else:
                self._adopt(before, job)

    def _adopt(self, item: Input, job: InJob) -> None:
        item.job, item.next_job = job, None
        item.latency_ms, item.budget_ms = job.latency_ms, job.budget_ms
        item.link.grant.window = job.window
        if self.aligner is None:
            item.mute.turn(job.muted)
        elif "~" not in job.port:
            self.aligner.adopt(self._spec(item.key, job))

    def _connect(self, job: InJob, before: Input | None, now_ns: int) -> None:
        number = next(self._serial)
        port, _, standby = job.port.partition("~")
        if standby:
            self._connect_standby(job, before, number, now_ns)
            return
        key = f"{port}#{number}"
        if self.aligner is not None:
            self._leave(self.aligner.connect(self._spec(key, job), now_ns), now_ns)
        elif before is not None:
            self._splice(job, before, now_ns)
        item = self._open(key, job, (self.job.epoch << 20) + number)
        item.link.since = self._since(job, before)
        self.core.watch(item.link.socket)
        if self.aligner is not None and before is not None:
            self._take_standby(before.key, item)

    def _take_standby(self, before: str, item: Input) -> None:
        """The link that stood by for the old one stands by for the new one, if there is one at all."""
        standby = self.links.pop(f"{before}~bypass", None)
        if standby is not None:
            standby.key = f"{item.key}~bypass"
            self.links[standby.key] = standby
            self.current[standby.job.port] = standby.key

    def _connect_standby(self, job: InJob, before: Input | None, number: int, now_ns: int) -> None:
        if before is not None:
            self._leave([before.key], now_ns)
        key = f"{self.current[job.port.partition('~')[0]]}~bypass"
        item = self._open(key, job, (self.job.epoch << 20) + number)
        item.link.since = self._since(job, None)
        self.core.watch(item.link.socket)

    def _splice(self, job: InJob, before: Input, now_ns: int) -> None:
        if job.port in self.splices:  # overtaken: what was coming is what leaves now
            self._leave([self.splices.pop(job.port)[1]], now_ns)
        if job.events:
            self._leave([before.key], now_ns)
            return
        fade = 2 * self.job.rate * FADE_MS // 1000
        rate = before.converter.rate
        joined = job.timeline == before.job.timeline
        splice = Splice(fade * rate // self.job.rate, before.end, now_ns, joined=joined)
        self.splices[job.port] = (splice, before.key)

    def _disconnect(self, port: str, now_ns: int) -> None:
        key = self.current.pop(port)
        if "~" in port or self.aligner is None:
            if port in self.splices:
                self._leave([self.splices.pop(port)[1]], now_ns)
            self._leave([key], now_ns)
        else:
            self._leave(self.aligner.disconnect(port, now_ns), now_ns)

    def _since(self, job: InJob, before: Input | None) -> int | None:
        """From where a new link should be heard: where its timeline is read, or where the old one got to."""
        line = self.aligner.timelines.get(job.timeline) if self.aligner is not None else None
        if line is not None and line.anchor is not None:
            return max(round(self.core.ctx.position_at(self.core.clock.now_ns())) - line.anchor, 0)
        if self.aligner is None and before is not None and before.job.timeline == job.timeline:
            return before.raw_end
        return None

    def enter_timeline(self, item: Input, now_ns: int) -> None:
        """The producer of a link has gone over to another timeline."""
        job, item.next_job = item.next_job, None
        assert job is not None
        if self.aligner is None:
            item.job = job
            if job.port == next(iter(self.current)):
                self.core.enter_timeline(job.timeline)
            return
        key = f"{job.port}#{next(self._serial)}"
        gone = self.aligner.connect(self._spec(key, job), now_ns)
        before, item.key, item.job = item.key, key, job
        self.links[key] = self.links.pop(before)
        self.current[job.port] = key
        self._take_standby(before, item)
        self._leave(gone, now_ns)

    def _leave(self, keys: Iterable[str], now_ns: int) -> None:
        """Lets go of links, with what stood by for them."""
        for key in keys:
            for name in (key, f"{key}~bypass"):
                item = self.links.pop(name, None)
                if item is None:
                    continue
                if self.current.get(item.job.port) == name:
                    del self.current[item.job.port]
                item.link.leave()
                item.since_ns = now_ns
                self.leaving.append(item)

    def retire(self, now_ns: int) -> None:
        """The node is taken away: it takes nothing more."""
        self._leave([key for key in list(self.links) if "~" not in key], now_ns)

    def turn(self, position: int, now_ns: int) -> Iterator[tuple[Input, Frame]]:
        """Moves changes on; frames that the node gets because of that, each with its link."""
        if self.aligner is not None:
            n = self.job.frame_samples
            deadline_ns = self.core.ctx.host_ns_at(position + n)
            self._leave(self.aligner.turn(position, n, now_ns, deadline_ns), now_ns)
        for port, (splice, key) in list(self.splices.items()):
            yield from self._handed_on(self.links[key], splice, splice.turn(now_ns))
            if splice.over and port in self.splices:
                self._finish(port, splice, key, now_ns)
        for item in [item for item in self.links.values() if item.next_job is not None]:
            if now_ns - item.since_ns > PATIENCE_NS:
                self.enter_timeline(item, now_ns)
        self._let_go(now_ns)

    def _handed_on(self, item: Input, splice: Splice, frames: Iterable[Frame]) -> Iterator[tuple[Input, Frame]]:
        """Frames with their links: the node goes over to another timeline between the last of the old one and the
        first of the new one, since all that it puts out from there on is counted on it."""
        for frame in frames:
            if frame is splice.begins:
                port = item.job.port
                self._finish(port, splice, self.splices[port][1], self.core.clock.now_ns())
                item = self.at(port)
            yield item, frame

    def _finish(self, port: str, splice: Splice, key: str, now_ns: int) -> None:
        del self.splices[port]
        item, before = self.at(port), self.links[key].job.timeline
        item.floor = splice.floor
        self._leave([key], now_ns)
        if item.job.timeline != before and port == next(iter(self.current)):
            self.core.enter_timeline(item.job.timeline)

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
            while item.job.events and item.link.take() is not None:
                item.link.dropped("cancelled")

    def is_heard(self, item: Input) -> bool:
        """False while the link only waits for its turn."""
        splice, leaving = self.splices.get(item.job.port, (None, ""))
        return splice is None or splice.over or item.key == leaving

    def cancel(self, keys: set[str]) -> None:
        """What was held of these links is wanted no more: a change on them is over now."""
        for port, (splice, key) in self.splices.items():
            if key in keys or self.current[port] in keys:
                splice.cancel()

    @property
    def changing(self) -> bool:
        """True while a change is not through."""
        busy = self.splices or self.leaving or any(item.next_job for item in self.links.values())
        return bool(busy) or (self.aligner is not None and not self.aligner.settled)

    def spliced(self, item: Input, frame: Frame) -> Iterable[tuple[Input, Frame]]:
        """What the node gets of a converted frame, in view of a link that leaves or comes, and of which link."""
        item.end = frame.end if frame.samples else item.end
        if frame.data is not None and frame.samples:
            data = item.mute.process(frame.data)
            frame = frame if data is frame.data else replace(frame, data=data)
        splice, leaving = self.splices.get(item.job.port, (None, ""))
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
