"""What follows from a graph: timelines, latencies by path, alignment buffers, windows and queues of links."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property

from audio_pipeline.dsp.resample import StreamResampler
from audio_pipeline.graph.job import DUE_MARGIN_FRAMES
from audio_pipeline.graph.paths import PathLatency, check_budgets, paths_of
from audio_pipeline.graph.regions import Clocks, clocks_of
from audio_pipeline.graph.types import Graph, Link, NodeSpec
from audio_pipeline.links.credit import LOSSLESS
from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.node import Latency, Source
from audio_pipeline.refs import InputKey, PortRef
from audio_pipeline.settings import fail

HOP_MS = 1.0  # one link on one host, generously
LIVE_BUDGET_MS = 100.0
ELASTIC_MS = 10_000.0  # a live `block` link stretches this far before it loses
RESTART_MS = 1_500.0  # what a consumer that comes back may want to hear again
SPARE_MS = 500.0
ROUND_TRIP_FRAMES = 4
SPARE_FRAMES, BRIDGED_SPARE_FRAMES = 2, 3  # in hand at an eager input before it is heard sooner


class Plan:
    """Everything that is derived from a graph and the nodes' latencies."""

    def __init__(self, graph: Graph, latencies: Mapping[str, Latency], *, live: bool) -> None:
        self.graph = graph
        self.live = live
        self.latencies = latencies
        self.frame_ms = graph.top.frame_ms
        self.order = graph.order()
        self.clocks = clocks_of(graph, live=live)
        self.timelines = {name: self._timeline(name) for name in self.order}
        self._out_ms: dict[str, float] = {}
        for name in self.order:
            self._out_ms[name] = self._out_latency_ms(graph.nodes[name])
        self.links = list(self._all_links())

    # -- time ------------------------------------------------------------------------------------

    def _timeline(self, name: str) -> str:
        """A source, a mixer or a bridge has a timeline of its own; what keeps 1:1 is on that of its first input."""
        spec = self.graph.nodes[name]
        seen = name
        while not spec.begins_timeline:
            seen = next(iter(spec.sound_inputs.values())).source.node
            spec = self.graph.nodes[seen]
        return seen

    def node_ms(self, name: str) -> float:
        """A node's own stated latency; nodes that work in blocks of their own add one frame of re-framing."""
        latency = self.latencies[name].total
        return latency / self.rate_of(name) * 1000 + self.frame_ms if latency else 0.0

    def rate_of(self, name: str) -> int:
        """The rate a node works at: that of its first input."""
        spec = self.graph.nodes[name]
        if not spec.sound_inputs:
            return self.graph.rate
        return spec.cls(spec.settings).input_rate(next(iter(spec.sound_inputs)), self.graph.rate)

    def in_ms(self, spec: NodeSpec, name: str, link: Link) -> float:
        """Stated age of a sample when it has arrived at an input, converted to the rate that it wants."""
        node = link.source.node
        return self._out_ms[node] + HOP_MS + self._convert_ms(spec, name, self.rate_of(node))

    def _convert_ms(self, spec: NodeSpec, name: str, rate: int) -> float:
        wanted = spec.cls(spec.settings).input_rate(name, self.graph.rate)
        return StreamResampler(rate, wanted, 1).latency_samples / wanted * 1000

    def _out_latency_ms(self, spec: NodeSpec) -> float:
        if not spec.sound_inputs:
            return self.frame_ms + self.node_ms(spec.name)
        age = max(self.in_ms(spec, name, link) for name, link in spec.all_links if name not in spec.ports.event_inputs)
        if spec.aligned and self.live:
            age = math.ceil((age + DUE_MARGIN_FRAMES * self.frame_ms) / self.frame_ms) * self.frame_ms
        return age + self.node_ms(spec.name)

    def _aligned_ms(self, spec: NodeSpec, timeline: str) -> float:
        """Age of the slowest input of this timeline."""
        ages = [self.in_ms(spec, name, link) for name, link in spec.all_links if self.timeline_of(link) == timeline]
        return max(ages, default=0.0)

    def timeline_of(self, link: Link) -> str:
        return self.timelines[link.source.node]

    @cached_property
    def leads_ms(self) -> dict[str, float]:
        """How far each source that can run ahead leads the clock: the slowest way to where its sound is joined."""
        leads: dict[str, float] = {}
        for name, spec in self.graph.nodes.items():
            ahead = issubclass(spec.cls, Source) and spec.cls.seekable(spec.cls(spec.settings))
            joins = [other for other in self.graph.nodes.values() if (other.aligned or other.cls.audible)]
            worst = max((self._aligned_ms(other, name) for other in joins), default=0.0)
            lead = worst - self._out_ms[name] + 2 * self.frame_ms
            leads[name] = lead if ahead and self.live and worst > 0 else 0.0
        return leads

    # -- links -----------------------------------------------------------------------------------

    def _all_links(self) -> Iterator[LinkPlan]:
        """Those of standby inputs included."""
        for spec in self.graph.nodes.values():
            for name, link in spec.inputs.items():
                dry = self.standby_source(link)
                yield self._link(InputKey(spec.name, name), link, has_standby=dry is not None)
                if dry is not None:
                    yield self._link(InputKey(spec.name, name, standby=True), dry)

    def standby_source(self, link: Link) -> Link | None:
        """For `on_loss: bypass` on an output whose bypass is its input: the link that stands by."""
        if link.on_loss != "bypass":
            return None
        producer = self.graph.nodes[link.source.node]
        if producer.ports.bypass[link.source.port].value != "input":
            return None
        first = next(iter(producer.inputs.values()))
        return Link(first.source, link.policy, None, "silence")

    def _link(self, key: InputKey, link: Link, *, has_standby: bool = False) -> LinkPlan:
        spec, name, timeline = self.graph.nodes[key.node], key.input, self.timeline_of(link)
        align_ms = self._align_ms(spec, name, link, timeline)
        burst_ms = self._burst_ms(link.source.node)
        # No event is worth less than the one after it.
        kept = "block" if name in spec.ports.event_inputs else link.policy
        policy = kept if self.live else LOSSLESS
        budget_ms = self._budget_ms(spec, name, link, align_ms + burst_ms, policy)
        window = math.ceil(burst_ms / self.frame_ms) + ROUND_TRIP_FRAMES
        align = align_ms + burst_ms + SPARE_MS + self.leads_ms[timeline]
        return LinkPlan(
            link.source,
            key,
            policy,
            budget_ms,
            window,
            queue=max(math.ceil(budget_ms / self.frame_ms), window) if self.live else window,
            timeline=timeline,
            latency_ms=self.in_ms(spec, name, link),
            align_samples=round(align * self.graph.rate / 1000) if spec.aligned else 0,
            on_loss=link.on_loss,
            events=link.source.port in self.graph.nodes[link.source.node].ports.events,
            muted=link.muted,
            has_standby=has_standby,
            eager=self.live and self.leads_ms[timeline] == 0,
            spare_frames=BRIDGED_SPARE_FRAMES if self._is_bridged(timeline) else SPARE_FRAMES,
        )

    def _is_bridged(self, timeline: str) -> bool:
        """True where frames drift through the ticks of the consumer: one clock framed them and another one cuts."""
        return self.graph.nodes[timeline].cls.bridge and self.latencies[timeline].total > 0

    def _align_ms(self, spec: NodeSpec, name: str, link: Link, timeline: str) -> float:
        """How long this input waits for the slowest one of its timeline."""
        return self._aligned_ms(spec, timeline) - self.in_ms(spec, name, link) if spec.aligned else 0.0

    def _burst_ms(self, node: str) -> float:
        """Most that a node puts out at once."""
        latency = self.latencies[node]
        block = max(latency.hop, 0) if self.live else latency.total
        lead = self.leads_ms[node] if not self.graph.nodes[node].sound_inputs else 0.0
        return block / self.rate_of(node) * 1000 + lead + self.frame_ms

    def _budget_ms(self, spec: NodeSpec, name: str, link: Link, hold_ms: float, policy: str) -> float:
        needed = hold_ms + ROUND_TRIP_FRAMES * self.frame_ms
        if link.budget_ms is None:
            return needed + (ELASTIC_MS if policy == "block" else LIVE_BUDGET_MS)
        if link.budget_ms < needed and self.live:
            path = (*self.graph.input_path(spec.name, name), "budget_ms")
            reason = (
                f"{link.budget_ms:g} ms cannot hold what waits here for the slowest path and the largest burst; "
                f"the smallest budget that works is {math.ceil(needed)} ms"
            )
            raise fail(path, reason, self.graph.places)
        return link.budget_ms

    def history_samples(self, node: str, port: str) -> int:
        """What a producer keeps for consumers that come back."""
        if not self.live:
            return 0
        wants = [self._replay_ms(plan) for plan in self.links if plan.source == PortRef(node, port)]
        return round(max(wants, default=0.0) * self.graph.rate / 1000)

    def _replay_ms(self, plan: LinkPlan) -> float:
        spec = self.graph.nodes[plan.target.node]
        if spec.aligned:
            return plan.align_samples / self.graph.rate * 1000 + RESTART_MS
        if plan.policy == "block":
            return ELASTIC_MS
        context = spec.cls(spec.settings).context_samples()
        return context / self.rate_of(spec.name) * 1000 + RESTART_MS if context else 0.0

    @cached_property
    def paths(self) -> list[PathLatency]:
        """Every way from a source to a sink, the monitor path first."""
        return paths_of(self)

    # -- what paths are made of --------------------------------------------------------------------

    def aligned_ms(self, name: str, before: str) -> float:
        """Age of the slowest input of an aligned node on the timeline of one of its producers."""
        return self._aligned_ms(self.graph.nodes[name], self.timelines[before])

    def hop_ms(self, before: str, name: str) -> float:
        """What the way from one node to the next takes, rate conversion included."""
        spec = self.graph.nodes[name]
        inputs = [port for port, link in spec.sound_inputs.items() if link.source.node == before]
        return HOP_MS + max(self._convert_ms(spec, port, self.rate_of(before)) for port in inputs)


def _estimate(graph: Graph, clocks: Clocks, spec: NodeSpec) -> Latency:
    """What a node's kind says before it runs; a bridge that has nothing to do takes no time."""
    if spec.cls.bridge and not spec.cls.converts(spec.settings, same_clock=clocks.same(graph, spec.name)):
        return Latency()
    return spec.cls.estimate(spec.settings, graph.rate)


def make_plan(graph: Graph, latencies: Mapping[str, Latency] | None = None, *, live: bool = True) -> Plan:
    """The plan from the nodes' stated latencies, or from their estimates before anything runs."""
    known, clocks = latencies or {}, clocks_of(graph, live=live)
    stated = {name: known.get(name) or _estimate(graph, clocks, spec) for name, spec in graph.nodes.items()}
    plan = Plan(graph, stated, live=live)
    check_budgets(plan)
    return plan
