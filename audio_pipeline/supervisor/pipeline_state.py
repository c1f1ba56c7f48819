"""The graph as it is wanted, its plan, and a record of every node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from audio_pipeline.graph.job import ScheduledSetting
from audio_pipeline.graph.plan import Plan
from audio_pipeline.graph.types import Graph
from audio_pipeline.links.link_plan import Ends, LinkPlan
from audio_pipeline.node import Latency
from audio_pipeline.supervisor.jobs import Run
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.supervisor.rewire import merged_inputs
from audio_pipeline.supervisor.transport import Transports


class PipelineState:
    """Data of the supervisor's thread; it knows nobody who uses it."""

    def __init__(
        self, run: Run, *, duration_s: float | None = None, schedule: Mapping[str, Sequence[list[Any]]] | None = None
    ) -> None:
        self.run = run
        self.duration_s = duration_s
        waiting = {name: [ScheduledSetting(*entry) for entry in entries] for name, entries in (schedule or {}).items()}
        self.nodes = {
            name: NodeRecord(spec, spec.settings, dict(spec.input_settings), schedule=waiting.get(name, []))
            for name, spec in run.plan.graph.nodes.items()
        }
        self.joining: dict[str, NodeRecord] = {}  # start, and are not in the graph yet
        self.leaving: dict[str, NodeRecord] = {}  # are not in the graph any more, and end
        self.former: dict[str, NodeRecord] = {}  # were here, for their ledgers and their successors; the newest last
        self.retired: dict[Ends, LinkPlan] = {}  # links that were taken away
        self.released: set[str] = set()  # parked nodes whose end is not waited for
        self.transports = Transports(run.plan.graph)
        self.revision = 0  # rises with every change of what there is to see
        self.graph_revision = 1

    @property
    def plan(self) -> Plan:
        return self.run.plan

    @property
    def graph(self) -> Graph:
        return self.plan.graph

    @property
    def live(self) -> bool:
        return self.plan.live

    @property
    def playing(self) -> tuple[NodeRecord, ...]:
        """The nodes of the graph."""
        return tuple(self.nodes.values())

    def switch(self, run: Run, removed: Sequence[str]) -> None:
        """From here on another graph is wanted: nodes that joined are in it, those `removed` leave."""
        known = {**self.nodes, **self.joining}
        self.run = run
        graph = run.plan.graph
        self.leaving = {name: known[name] for name in removed}
        for name, spec in graph.nodes.items():
            record = known[name]
            if name in self.nodes:
                record.input_settings = merged_inputs(record.spec, spec, record.input_settings)
                record.spec, record.proven = spec, None
        self.nodes = {name: known[name] for name in graph.nodes}
        self.graph_revision += 1

    @property
    def rate(self) -> int:
        """Of the graph, in Hz."""
        return self.graph.rate

    def changed(self) -> None:
        """The wanted or known state moved on."""
        self.revision += 1

    def find(self, name: str) -> NodeRecord | None:
        """A node that plays, joins or leaves."""
        return self.nodes.get(name) or self.joining.get(name) or self.leaving.get(name)

    def records(self) -> Iterator[NodeRecord]:
        """All nodes that may have a process."""
        for records in (self.nodes, self.joining, self.leaving):
            yield from records.values()

    def starting(self) -> list[NodeRecord]:
        """Those that join."""
        return list(self.joining.values())

    def admit(self, names: Sequence[str]) -> list[NodeRecord]:
        """Nodes that joined play from now on."""
        return [self.joining.pop(name) for name in names]

    def in_transit(self) -> list[NodeRecord]:
        """Those that join or leave."""
        return [*self.joining.values(), *self.leaving.values()]

    def board_path(self, record: NodeRecord) -> Path:
        """The board of a node's present process."""
        return self.run.board_path(record.name, record.incarnation)

    def absent(self) -> list[str]:
        """Optional nodes that are not there, and parked ones whose end is not waited for."""
        return [name for name, record in self.nodes.items() if record.phase is Phase.ABSENT or name in self.released]

    def latencies(self) -> dict[str, Latency]:
        """What the nodes that play or join have stated."""
        records = {**self.nodes, **self.joining}
        return {name: record.latency for name, record in records.items() if record.latency is not None}
