"""`audio-pipeline check`: the graph as a tree, latency by path, every link with what was derived for it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from audio_pipeline.cli.text import columns
from audio_pipeline.graph.groups import processes
from audio_pipeline.graph.load import load
from audio_pipeline.graph.node_keys import AUTO
from audio_pipeline.graph.paths import PathLatency
from audio_pipeline.graph.plan import Plan, make_plan
from audio_pipeline.graph.types import Graph
from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.supervisor.interpreter import check_interpreters
from audio_pipeline.terminal import write
from audio_pipeline.view.text import ms_text


def check(args: argparse.Namespace) -> int:
    """Prints what `run` would do. Raises ConfigError for a file that cannot be run."""
    graph = load(args.config, args.sets)
    check_interpreters(graph)
    plan = make_plan(graph, live=not args.offline)
    write(*describe(graph, plan))
    return 0


def describe(graph: Graph, plan: Plan) -> Iterator[str]:
    """The page that `check` prints."""
    mode = f"live, clock: {graph.top.clock}" if plan.live else "offline"
    frames = f"{graph.frame_samples} samples ({graph.top.frame_ms:g} ms)"
    yield f"{graph.name}: {graph.file or 'text'} is valid"
    yield f"{graph.rate} Hz, frames of {frames}, {mode}"
    yield ""
    yield from tree(graph)
    yield from _groups(graph)
    yield from ["", "Latency (stated by the nodes before they are opened)"]
    yield from columns([row for path in plan.paths for row in _path_rows(path)], right=[0])
    yield from ["", "Links"]
    head = ("link", "policy", "budget", "window", "queue", "alignment", "on loss")
    yield from columns([head, *[_link_row(link, graph.rate) for link in plan.links]], right=[2, 3, 4, 5])


def tree(graph: Graph) -> Iterator[str]:
    """The graph from its sources on; a node met again is only named."""
    shown: set[str] = set()
    for name, spec in graph.nodes.items():
        if not spec.inputs:
            yield _label(graph, name)
            yield from _branches(graph, name, "", shown)


def _label(graph: Graph, name: str) -> str:
    spec = graph.nodes[name]
    keys = spec.keys
    details = [
        spec.kind,
        "optional" if keys.optional else "",
        f"in process {spec.process}" if spec.process != name else "",
        f"under {keys.python}" if keys.python else "",
    ]
    return f"{name} ({', '.join(filter(None, details))})"


def _branches(graph: Graph, name: str, indent: str, shown: set[str]) -> Iterator[str]:
    ports = graph.nodes[name].ports
    ends = [(port, end) for port in (*ports.outputs, *ports.events) for end in graph.consumers(name, port)]
    for number, (port, (node, input_)) in enumerate(ends, 1):
        last = number == len(ends)
        target = node if input_ == "in" else f"{node}.{input_}"
        known = node in shown
        shown.add(node)
        kind = " (above)" if known else _label(graph, node).removeprefix(node)
        yield f"{indent}{'└─' if last else '├─'} {port} → {target}{kind}"
        if not known:
            yield from _branches(graph, node, indent + ("   " if last else "│  "), shown)


def _groups(graph: Graph) -> Iterator[str]:
    """Nodes that share a process, and why."""
    found = processes(graph)
    shared = {name: members for name, members in found.items() if name not in graph.nodes}
    if shared:
        yield from ["", f"Processes: {len(found)} for {len(graph.nodes)} nodes"]
        yield from columns([(name, ", ".join(members), _why(graph, members)) for name, members in shared.items()])


def _why(graph: Graph, members: Sequence[str]) -> str:
    if graph.nodes[members[0]].keys.process not in (None, AUTO):
        return "one process, as the file names it"
    if graph.top.host == "shared":
        return "one process: nodes that compute little (host: shared)"
    return "one process: light nodes that are linked (process: auto)"


def _path_rows(path: PathLatency) -> list[tuple[str, str]]:
    terms = " + ".join(f"{name} {ms:.1f}" for name, ms in path.terms_ms.items())
    budget = "" if path.budget_ms is None else f", budget {path.budget_ms:g} ms{' + device' if path.monitor else ''}"
    return [(ms_text(path.total_ms), f"{'monitor: ' if path.monitor else ''}{terms}{budget}")]


def _link_row(link: LinkPlan, rate: int) -> tuple[str, ...]:
    waits = ms_text(link.align_samples / rate * 1000) if link.align_samples else "-"
    return (
        f"{link.source} → {link.target.node}.{link.target.input}{' (standby)' if link.standby else ''}",
        link.policy,
        ms_text(link.budget_ms),
        str(link.window),
        str(link.queue),
        waits,
        link.on_loss or "-",
    )
