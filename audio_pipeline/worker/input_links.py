"""The links that lead into a node: opened, found by input, and what is planned of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import zmq

from audio_pipeline.align.aligner import Aligner
from audio_pipeline.align.input import AlignSpec
from audio_pipeline.frame import Frame
from audio_pipeline.graph.job import DUE_MARGIN_FRAMES, Job
from audio_pipeline.links.consumer import InPort
from audio_pipeline.links.credit import Count
from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.links.port_specs import InSpec
from audio_pipeline.links.ports import Converter
from audio_pipeline.metrics import Board
from audio_pipeline.node import Node
from audio_pipeline.refs import LinkKey
from audio_pipeline.worker.graph_clock import GraphClock
from audio_pipeline.worker.input import FADE_MS, Input
from audio_pipeline.worker.outputs import Outputs
from audio_pipeline.worker.sockets import Sockets
from audio_pipeline.worker.splice import Splice

CREDIT_EVERY = 3  # of the four frames that a window has room for beside a burst


class InputLinks:
    """All links into one node, and the aligner behind them where the node has one."""

    def __init__(
        self,
        job: Job,
        node: Node,
        context: zmq.Context[Any],
        clock: GraphClock,
        board: Board,
        sockets: Sockets,
        outputs: Outputs,
        count: Count,
    ) -> None:
        self.job, self.node = job, node
        self._context, self._clock, self._board = context, clock, board
        self._sockets, self._outputs = sockets, outputs
        self._serial = itertools.count(1)
        self.links: dict[LinkKey, Input] = {}
        self.current: dict[LinkKey, LinkKey] = {}  # by the input itself or its standby, serial 0: the link wanted there
        self.splices: dict[str, tuple[Splice, LinkKey]] = {}  # by the input's name: and the link that leaves
        self.leaving: list[Input] = []
        for plan in self.job.inputs:
            self._open(at(plan), plan, self.job.epoch << 20)
        self.aligner = self._make_aligner(count) if node.aligned else None

    def _open(self, key: LinkKey, plan: LinkPlan, instance: int) -> Input:
        every = CREDIT_EVERY if self.job.live else 1
        spec = InSpec(str(plan.target), plan.endpoint, plan.window, plan.policy, credit_every=every)
        count = self._board.counting(f"in.{plan.source}>{plan.target.name}.")
        link = InPort(self._context, spec, self.job.token, instance, count)
        rate, channels = self.node.input_rate(key.input, self.job.rate), self._channels(key.input)
        item = Input(key, plan, link, Converter(rate, channels))
        self.links[key], self.current[at(plan)] = item, key
        self._wait_on(link)
        return item

    def _wait_on(self, link: InPort) -> None:
        """Live, the first frame of several goes to the node before the next one is taken."""
        self._sockets.add(link.socket, link.receive if self.job.live else link.handle)

    def _channels(self, port: str) -> int | None:
        """What an input wants; where sounds are added up all must have the same, two unless the node says."""
        wanted = self.node.input_channels(port)
        return 2 if wanted is None and self.node.aligned else wanted

    def _spec(self, key: LinkKey, plan: LinkPlan) -> AlignSpec:
        return AlignSpec(key, plan, self._channels(key.input) or 2, plan.align_samples)

    def _make_aligner(self, count: Count) -> Aligner:
        specs = [self._spec(at(plan), plan) for plan in self.job.inputs if not plan.standby]
        fade = self.job.rate * FADE_MS // 1000
        aligner = Aligner(
            specs,
            frame_samples=self.job.frame_samples,
            fade_samples=fade,
            live=self.job.live,
            count=count,
        )
        for timeline, anchor in self.job.anchors.items():
            aligner.restore(timeline, anchor.position, anchor.generation)
        return aligner

    def at(self, name: str) -> Input:
        """The link that is wanted at an input now."""
        return self.links[self.current[LinkKey(name)]]

    def timeline_of(self, item: Input) -> str:
        """That of the link itself, or of the one that it stands by for."""
        return self.links.get(item.key.main, item).plan.timeline

    def due_ns(self, name: str, frame: Frame) -> int:
        """When the frame's first sample should have arrived at an input, with the margin of every aligned input."""
        return self.due_on(self.at(name).plan, frame)

    def due_on(self, plan: LinkPlan, frame: Frame) -> int:
        """The same on one of its links."""
        first_ns = frame.captured_ns - round(frame.samples / max(frame.rate, 1) * 1e9)
        frame_ms = self.job.frame_samples / self.job.rate * 1000
        return first_ns + round((plan.latency_ms + DUE_MARGIN_FRAMES * frame_ms) * 1e6)

    def reconnect(self, producer: str) -> None:
        """Connects anew to a producer that was replaced (inproc only; ipc and tcp do so by themselves)."""
        for item in self.links.values():
            if item.plan.source.node == producer:
                self._sockets.remove(item.link.socket)
                item.link.reconnect()
                self._wait_on(item.link)

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


def at(plan: LinkPlan) -> LinkKey:
    """Where a link is wanted: an input, or what stands by for it; whichever link is there now."""
    return LinkKey(plan.target.input, standby=plan.standby)
