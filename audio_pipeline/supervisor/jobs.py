"""Turns a plan into what each node's process receives: its job, and messages about its links."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from audio_pipeline.clock import copy_clock
from audio_pipeline.graph.groups import processes, shared_key
from audio_pipeline.graph.job import Job, OutJob, QueueTerms
from audio_pipeline.graph.plan import Plan
from audio_pipeline.graph.regions import HOST
from audio_pipeline.graph.types import NodeSpec
from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.refs import PortRef
from audio_pipeline.setting_values import plain
from audio_pipeline.supervisor.interpreter import kind_at
from audio_pipeline.worker.commands import OutputTerms, Rewire, Start


@dataclass
class Run:
    """What all nodes of one run share."""

    plan: Plan
    run_dir: Path  # sockets, boards, the clock: 0700
    folder: Path  # what the user keeps
    endpoint: Callable[[PortRef], str]  # where a port is found by other processes
    control: str = ""
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    apart: frozenset[str] = frozenset()  # nodes that left their group, since they failed in it again and again

    def with_apart(self, name: str) -> Run:
        """From now on a node has a process of its own, whatever group it belonged to."""
        graph = self.plan.graph
        return replace(self, apart=self.apart & graph.nodes.keys() | {name})

    def process_of(self, spec: NodeSpec) -> str:
        """The group whose process runs a node, or its own name."""
        return spec.name if spec.name in self.apart else spec.process

    @property
    def clock_path(self) -> Path:
        return self.run_dir / "clock"

    def clock_of(self, node: str) -> Path:
        """The record that a node's region runs on: the pipeline's, or that of the device beyond a bridge."""
        plan = self.plan
        device = plan.clocks.device(node)
        return self.device_clock(device) if device else self.clock_path

    def device_clock(self, node: str) -> Path:
        """The record of a device's own clock, or the host's beside the main clock."""
        return self.run_dir / f"clock.{node}"

    @property
    def clocks(self) -> list[Path]:
        """All records."""
        graph = self.plan.graph
        devices = [name for name, spec in graph.nodes.items() if spec.cls.clock_source]
        return [self.clock_path, self.device_clock(HOST), *map(self.device_clock, devices)]

    def add_clocks(self) -> None:
        """Records for devices that are new, which give the main clock's time until their device writes its own."""
        for path in self.clocks:
            if not path.exists():
                copy_clock(self.clock_path, path)

    def board_path(self, node: str, incarnation: int) -> Path:
        return self.run_dir / f"{node}.{incarnation}.board"


def make_job(run: Run, name: str, *, incarnation: int = 0, born: int = 0) -> Job:
    """The job of one node as the file states it; what a restarted one must know is added by `JobMaker`.

    `born` is the incarnation with which it came into the graph: one that was taken out and is back begins anew.
    """
    graph = run.plan.graph
    spec, members = graph.nodes[name], processes(graph)[graph.nodes[name].process]
    return Job(
        name=name,
        kind=spec.kind,
        settings=plain(spec.settings),
        input_settings=plain(spec.input_settings),
        rate=graph.rate,
        frame_samples=graph.frame_samples,
        live=run.plan.live,
        folder=str(run.folder),
        token=run.token,
        board=str(run.board_path(name, incarnation)),
        clock=str(run.clock_of(name)),
        inputs=tuple(_in_job(run, spec, link) for link in _links_into(run.plan, name)),
        outputs=tuple(_out_job(run, spec, port) for port in spec.all_outputs),
        epoch=incarnation + 1,
        incarnation=incarnation - born,
        control=run.control,
        node_paths=tuple(str(path) for path in graph.node_paths),
        kind_at=kind_at(spec),
        master=run.plan.clocks.is_master(name),
        own_clock=str(run.device_clock(name)) if spec.cls.clock_source else "",
        cpus=shared_key(graph, members, "cpus"),
        nice=shared_key(graph, members, "nice"),
        realtime=shared_key(graph, members, "realtime"),
    )


def _links_into(plan: Plan, name: str) -> list[LinkPlan]:
    return [link for link in plan.links if link.target.node == name]


def rewire_command(run: Run, name: str, input_settings: Mapping[str, object], absent: Sequence[str]) -> Rewire:
    """How a node is to be connected, whatever it was before.

    A lead that shrinks must wait until the slower way is not played any more.
    """
    plan, spec = run.plan, run.plan.graph.nodes[name]
    return Rewire(
        plain(input_settings),
        lead_of(plan, name),
        tuple(_in_job(run, spec, link) for link in _links_into(plan, name)),
        tuple(_out_job(run, spec, port) for port in spec.all_outputs),
        tuple(absent),
    )


def lead_of(plan: Plan, name: str) -> float:
    """How far the source of a node's timeline runs ahead of the clock, in ms."""
    return plan.leads_ms[plan.timelines[name]]


def _in_job(run: Run, spec: NodeSpec, link: LinkPlan) -> LinkPlan:
    """A link as its consumer gets it: with the places where it finds the producer and the clock before a bridge."""
    clock, same = _input_clock(run, spec, link.source.node)
    return replace(link, endpoint=_endpoint(run, link.source, spec), clock=clock, same_clock=same)


def _input_clock(run: Run, spec: NodeSpec, source: str) -> tuple[str, bool]:
    """For a bridge: what counts its input (a device by its own samples), and whether that is meant to be our clock."""
    clocks = run.plan.clocks
    if not spec.cls.bridge or not run.plan.live:
        return "", True
    if clocks.domains[source] != clocks.domains[spec.name]:
        return str(run.clock_of(source)), False
    device = clocks.devices.get(source, "")
    return (str(run.device_clock(device)) if device else ""), True


def _endpoint(run: Run, source: PortRef, consumer: NodeSpec) -> str:
    """Where a consumer connects: inside the process where the producer is in it."""
    together = run.process_of(run.plan.graph.nodes[source.node]) == run.process_of(consumer)
    return local_endpoint(source) if together else run.endpoint(source)


def local_endpoint(source: PortRef) -> str:
    """Where a port is found by nodes of its own process."""
    return f"inproc://{source}"


def _out_job(run: Run, spec: NodeSpec, port: str) -> OutJob:
    source = PortRef(spec.name, port)
    listeners = [link for link in run.plan.links if link.source == source]
    return OutJob(
        port=port,
        endpoint=run.endpoint(source),
        timeline=run.plan.timelines[spec.name],
        consumers={str(link.target): QueueTerms(link.policy, link.queue) for link in listeners},
        history_samples=run.plan.history_samples(spec.name, port),
        events=port in spec.ports.events,
        local=local_endpoint(source) if spec.process != spec.name else "",
        rates=_foreign_rates(run.plan, listeners) if port in spec.ports.outputs else {},
    )


def _foreign_rates(plan: Plan, listeners: Sequence[LinkPlan]) -> dict[str, int]:
    """The rates of consumers that run under another interpreter, which need not be able to convert."""
    rates: dict[str, int] = {}
    for link in listeners:
        spec = plan.graph.nodes[link.target.node]
        if spec.keys.python is not None:
            rates[str(link.target)] = spec.cls(spec.settings).input_rate(link.target.input, plan.graph.rate)
    return rates


def start_command(plan: Plan, name: str, absent: Sequence[str]) -> Start:
    """The true latencies, now that every node has stated its own."""
    outputs = {port: _terms(plan, PortRef(name, port)) for port in plan.graph.nodes[name].all_outputs}
    return Start(tuple(_links_into(plan, name)), outputs, lead_of(plan, name), tuple(absent))


def _terms(plan: Plan, source: PortRef) -> OutputTerms:
    queues = {str(link.target): link.queue for link in plan.links if link.source == source}
    return OutputTerms(queues, plan.history_samples(source.node, source.port))
