"""Snapshots that fit into a message: what is longest and least needed is left out first, and the snapshot says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from audio_pipeline.control.codec import MSGPACK
from audio_pipeline.control.snapshots import Description, Ledger, Times

MOST_BYTES = 2 << 20
FIGURES = 256  # counters, and gauges, of one node
T = TypeVar("T")
S = TypeVar("S", Description, Ledger)
Step = tuple[str, Callable[[S], S]]


def few(figures: dict[str, T]) -> dict[str, T]:
    """So many of a node's figures as a viewer can show."""
    return figures if len(figures) <= FIGURES else dict(list(figures.items())[:FIGURES])


def fitted_ledger(ledger: Ledger, most: int = MOST_BYTES) -> Ledger:
    """The ledger, or as much of it as has at most so many bytes; `left_out` names what it lacks."""
    return _fitted(ledger, LEDGER_STEPS, most)


def fitted_description(description: Description, most: int = MOST_BYTES) -> Description:
    """As `fitted_ledger`, for a description."""
    return _fitted(description, DESCRIPTION_STEPS, most)


def _fitted(snapshot: S, steps: Sequence[Step[S]], most: int) -> S:
    for name, shorten in steps:
        if len(MSGPACK.encode(snapshot)) <= most:
            break
        shorter: S = shorten(snapshot)
        snapshot = replace(shorter, left_out=(*shorter.left_out, name))
    return snapshot


def _brief_incidents(ledger: Ledger) -> Ledger:
    return replace(ledger, incidents=tuple(incident.brief for incident in ledger.incidents))


def _few_incidents(ledger: Ledger) -> Ledger:
    return replace(ledger, incidents=ledger.incidents[-20:], log=ledger.log[-20:])


def _without_former_links(ledger: Ledger) -> Ledger:
    return replace(ledger, former_links=())


def _without_spreads(ledger: Ledger) -> Ledger:
    """Histograms are what is longest in links, paths and nodes; their quantiles stay."""
    nodes = {name: replace(node, wait=_brief(node.wait), work=_brief(node.work)) for name, node in ledger.nodes.items()}
    paths = tuple(replace(path, measured=path.measured and replace(path.measured, counts=())) for path in ledger.paths)
    return replace(ledger, links=tuple(replace(link, age_counts=()) for link in ledger.links), nodes=nodes, paths=paths)


def _brief(times: Times | None) -> Times | None:
    return times and replace(times, counts=())


def _without_figures(ledger: Ledger) -> Ledger:
    nodes = {name: replace(node, counters={}, gauges={}, note="") for name, node in ledger.nodes.items()}
    return replace(ledger, nodes=nodes)


def _without_measures(ledger: Ledger) -> Ledger:
    return replace(ledger, paths=())


def _without_settings(description: Description) -> Description:
    nodes = {name: replace(node, settings={"inputs": {}}) for name, node in description.nodes.items()}
    return replace(description, nodes=nodes)


def _without_paths(description: Description) -> Description:
    return replace(description, paths=())


LEDGER_STEPS: Sequence[Step[Ledger]] = (
    ("details of incidents", _brief_incidents),
    ("former links", _without_former_links),
    ("older incidents and log lines", _few_incidents),
    ("histograms", _without_spreads),
    ("counters and gauges", _without_figures),
    ("paths", _without_measures),
)
DESCRIPTION_STEPS: Sequence[Step[Description]] = (("settings", _without_settings), ("paths", _without_paths))
