"""A change of the graph that is under way: what it is, what it waits for, and who is answered."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from audio_pipeline.control.replies import EditReply
from audio_pipeline.errors import ConfigError, PipelineError
from audio_pipeline.graph.types import Graph
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.rewire import Rewiring, rewiring

Outcome = EditReply | PipelineError
Done = Callable[[Outcome], None]


class Stage(enum.Enum):
    """What a change waits for."""

    STARTING = "nodes that join are ready"
    EXPECTING = "producers know their new consumers"
    SWITCHING = "every node is connected anew"
    LEAVING = "nodes that leave have ended"


@dataclass
class Change:
    """The one that is under way."""

    what: str  # edit, undo, redo
    graph: Graph
    rewiring: Rewiring
    committed: Callable[[], None]
    done: Done
    stage: Stage = Stage.STARTING
    waiting: dict[int, str] = field(default_factory=dict)  # number of a message -> node whose reply is missing
    deadline_s: float = 0.0

    def result(self, revision: int) -> EditReply:
        """For whoever asked for it, once it is through."""
        rewiring = self.rewiring
        return EditReply(revision, rewiring.added, rewiring.removed, rewiring.touched)


def rewiring_to(graph: Graph, state: PipelineState) -> Rewiring:
    """As `rewiring`, from the present state. Raises PipelineError, whatever a kind raises while it is asked."""
    try:
        return rewiring(state.run, graph, state.latencies())
    except Exception as error:
        raise as_sentence(error) from error


def as_sentence(error: Exception) -> PipelineError:
    """What went wrong with a change, in one; the graph is as it was."""
    return error if isinstance(error, PipelineError) else ConfigError(f"{type(error).__name__}: {error}")


def summary(what: str, rewiring: Rewiring) -> str:
    parts: dict[str, Sequence[str]] = {
        "added": rewiring.added,
        "removed": rewiring.removed,
        "connected anew": rewiring.touched,
    }
    listed = "; ".join(f"{verb} {', '.join(names)}" for verb, names in parts.items() if names)
    return f"{what}: {listed or 'nothing is connected differently'}"
