"""What worker processes import before they get a job."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from audio_pipeline.graph.types import Graph, NodeSpec
from audio_pipeline.supervisor.interpreter import USER, roots


@dataclass(frozen=True)
class WorkerSpec:
    """What the processes of one interpreter have in common; `python` None is our own."""

    python: str | None = None
    preload: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()


def worker_specs(graph: Graph) -> list[WorkerSpec]:
    """One for each interpreter of the graph, our own included."""
    found: dict[str | None, list[NodeSpec]] = {None: []}
    for spec in graph.nodes.values():
        found.setdefault(spec.keys.python, []).append(spec)
    return [WorkerSpec(python, modules(specs), tuple(roots(specs))) for python, specs in found.items()]


def modules(specs: Iterable[NodeSpec]) -> tuple[str, ...]:
    """What a spare process imports beforehand."""
    kinds = {spec.cls.__module__ for spec in specs if not spec.cls.__module__.startswith(USER)}
    return tuple(sorted(kinds | {module for spec in specs for module in spec.cls.preload(spec.settings)}))
