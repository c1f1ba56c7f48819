"""From one graph to the next while it plays: which nodes join and leave, and which get other links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from audio_pipeline.errors import ConfigError
from audio_pipeline.graph.groups import processes
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.graph.types import Graph, NodeSpec
from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.node import Latency
from audio_pipeline.supervisor.jobs import Run, rewire_command
from audio_pipeline.worker.commands import Rewire


@dataclass(frozen=True)
class Rewiring:
    """What is to be done so that one plan takes another's place."""

    run: Run  # with the new plan
    added: tuple[str, ...]  # producers first
    removed: tuple[str, ...]
    touched: tuple[str, ...]  # nodes that stay, and are connected differently
    retired: tuple[LinkPlan, ...]  # links that are no more
    leads_ms: Mapping[str, float]  # while both ways are needed: the longer lead of each source


def rewiring(run: Run, graph: Graph, latencies: Mapping[str, Latency]) -> Rewiring:
    """What leads from the present graph to another, by what nodes have stated of themselves.

    Raises ConfigError, also where a node would change its clock.
    """
    known = {name: latencies[name] for name in graph.nodes if name in latencies}
    old, plan = run.plan, make_plan(graph, known, live=run.plan.live)
    then = replace(run, plan=plan)
    check_clocks(run, then)
    before, after = ({(link.source, link.target) for link in each.links} for each in (old, plan))
    stay = [name for name in plan.order if name in old.graph.nodes]
    return Rewiring(
        then,
        tuple(name for name in plan.order if name not in old.graph.nodes),
        tuple(name for name in old.order if name not in graph.nodes),
        tuple(name for name in stay if _links_of(run, name) != _links_of(then, name)),
        tuple(link for link in old.links if (link.source, link.target) in before - after),
        {name: max(old.leads_ms.get(name, 0.0), lead_ms) for name, lead_ms in plan.leads_ms.items()},
    )


def _links_of(run: Run, name: str) -> Rewire:
    return rewire_command(run, name, run.plan.graph.nodes[name].input_settings, [])


def merged_inputs(spec: NodeSpec, new: NodeSpec, live: Mapping[str, object]) -> dict[str, object]:
    """Input settings after a change: live values of inputs that stay, unless the file gives them another value."""
    return {
        name: live[name] if name in live and spec.input_settings.get(name) == value else value
        for name, value in new.input_settings.items()
    }


def check_processes(old: Graph, added: Sequence[str], new: Graph) -> None:
    """A process that plays takes no more nodes in. Raises ConfigError."""
    known = processes(old)
    for name in added:
        group = new.nodes[name].process
        if group in known and group != name:
            raise ConfigError(
                f"nodes.{name}.process: {group!r} plays already and cannot take a new member; use another name"
            )


def check_clocks(run: Run, then: Run) -> None:
    """Nodes that play cannot change their clock. Raises ConfigError."""
    old, new = run.plan.clocks, then.plan.clocks
    if old.master != new.master:
        raise ConfigError(
            f"{old.master} is the clock of this pipeline while it plays; with this change {new.master} would be"
        )
    for name in run.plan.graph.nodes.keys() & then.plan.graph.nodes.keys():
        if run.clock_of(name) != then.clock_of(name):
            raise ConfigError(f"nodes.{name}: it would run on another clock than it plays on")
