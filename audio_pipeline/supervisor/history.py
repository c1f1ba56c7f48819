"""The graphs that a pipeline had, for undo and redo."""

from __future__ import annotations

from collections.abc import Sequence

from audio_pipeline.graph.edit import Raw
from audio_pipeline.packed import dumps

MOST_STEPS = 100  # that can be undone
MOST_STEP_BYTES = 16 << 20  # of all of them


class History:
    """Two stacks of graphs as plain values."""

    def __init__(self) -> None:
        self.undos: list[Raw] = []
        self.redos: list[Raw] = []

    def note(self, what: str, before: Raw) -> None:
        """A change went through: an edit, an undo or a redo; `before` is the graph that it replaced."""
        if what == "undo":
            self.undos.pop()
            self.redos.append(before)
            return
        self.undos = bounded([*self.undos, before])
        if what == "redo":
            self.redos.pop()
        else:
            self.redos = []


def bounded(steps: Sequence[Raw]) -> list[Raw]:
    """The newest graphs, as many as may be undone; the larger they are, the fewer."""
    size = len(dumps(steps[-1], default=str))
    return list(steps[-min(MOST_STEPS, max(MOST_STEP_BYTES // size, 1)) :])
