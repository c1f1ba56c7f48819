"""Nodes that fail again and again: they are parked and tried each minute, while anything audible is left."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from audio_pipeline.graph.types import NodeSpec
from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.node import Source

PARKED_S = 60.0  # between two tries of a parked node
PARKED = ": it is parked as failed"


def ends_of(specs: Mapping[str, NodeSpec], links: Iterable[LinkPlan]) -> set[str]:
    """The nodes for which the others work: loudspeakers, and what takes sound and puts none out (a recorder, an
    output to another host); where there are none of these, the nodes to which nobody in the graph listens."""
    working = {name: spec for name, spec in specs.items() if not spec.cls.service}
    ends = {
        name for name, spec in working.items() if spec.cls.audible or (spec.sound_inputs and not spec.ports.outputs)
    }
    return ends or working.keys() - {link.source.node for link in links}


def sources_of(specs: Mapping[str, NodeSpec]) -> set[str]:
    """The nodes in which sound begins."""
    return {
        name
        for name, spec in specs.items()
        if not spec.cls.service and (not spec.sound_inputs or issubclass(spec.cls, Source))
    }


def audible_ends(specs: Mapping[str, NodeSpec], links: Iterable[LinkPlan], gone: Collection[str]) -> set[str]:
    """The ends that sound still reaches without the nodes that are `gone`; standby links lead around one of them."""
    pairs = [(link.source.node, link.target.node) for link in links]
    reached = sources_of(specs) - set(gone)
    while True:
        more = {target for source, target in pairs if source in reached and target not in gone} - reached
        if not more:
            return reached & ends_of(specs, links)
        reached |= more


def parked_sentence(name: str, failures: int, cause: str) -> str:
    """The notice when a node is given up for now."""
    return (
        f"{name} failed {failures} times in a row ({cause}){PARKED}, its consumers continue as their on_loss says, and "
        f"it is tried again each minute"
    )


def failed_sentence(parked: str) -> str:
    """What of a parked node's sentence is still true at the end.

    >>> failed_sentence(parked_sentence("rec", 13, "no such device"))
    'rec failed 13 times in a row (no such device)'
    """
    return parked.partition(PARKED)[0]


def ending_sentence(names: Iterable[str], cause: str) -> str:
    """Why a pipeline ends though nobody asked it to."""
    return f"{', '.join(names)} kept failing, and nothing audible is left: {cause}"
