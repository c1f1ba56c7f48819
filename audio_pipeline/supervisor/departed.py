"""What is remembered of nodes and links that were taken out of the graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from audio_pipeline.graph.types import NodeSpec
from audio_pipeline.links.link_plan import Ends, LinkPlan
from audio_pipeline.metrics import Reading
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.records import NodeRecord
from audio_pipeline.supervisor.rewire import merged_inputs

FORMER, RETIRED = 200, 100  # nodes and links


LastBoard = Callable[[NodeRecord], list[Reading]]  # that a process left; none where it cannot be read


class Departed:
    """Keeps records of nodes, and links, as many as it may."""

    def __init__(self, state: PipelineState, last_board: LastBoard) -> None:
        self._state, self._last_board = state, last_board

    def keep(self, record: NodeRecord) -> None:
        """What is remembered of a node that is gone: what it counted, and how it was set."""
        record.dead = [Reading.added([*record.dead, *self._last_board(record)])]
        record.child, record.ready = None, False
        former = self._state.former
        former.pop(record.name, None)
        former[record.name] = record  # the newest last
        while len(former) > FORMER:
            del former[next(iter(former))]
        self._forget_links()

    def _forget_links(self) -> None:
        """Of links that are no more the newest are kept, where both ends are known."""
        state = self._state
        known = {record.name for record in state.records()} | state.former.keys()
        kept = {key: link for key, link in state.retired.items() if all(end.node in known for end in key)}
        state.retired = _newest(kept)

    def retire(self, links: Iterable[LinkPlan]) -> None:
        """Links that the present plan has no more; one that it has again is not among them."""
        state = self._state
        gone = state.retired | {(link.source, link.target): link for link in links}
        present = {(link.source, link.target) for link in state.plan.links}
        state.retired = _newest({key: link for key, link in gone.items() if key not in present})

    def record(self, spec: NodeSpec) -> NodeRecord:
        """A record for a node that joins; it goes on with what one of its name and kind left."""
        former = self._state.former
        before = former.pop(spec.name, None)
        if before is None:
            return NodeRecord(spec, spec.settings, dict(spec.input_settings))
        same = before.spec.kind == spec.kind and before.spec.settings == spec.settings
        settings = before.settings if same else spec.settings
        inputs = merged_inputs(before.spec, spec, before.input_settings) if same else dict(spec.input_settings)
        number = before.incarnation + 1
        return NodeRecord(spec, settings, inputs, incarnation=number, born=number, dead=before.dead)


def _newest(links: dict[Ends, LinkPlan]) -> dict[Ends, LinkPlan]:
    return dict(list(links.items())[-RETIRED:])
