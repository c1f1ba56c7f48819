"""From one link to another at the same input of an aligned node, by position and without a step."""

from __future__ import annotations

from dataclasses import dataclass

from audio_pipeline.align.input import AlignInput

PATIENCE_NS = 3_000_000_000  # what has not come by then is stood in for, like anything that is missing


@dataclass
class Handover:
    """Who leaves an input and who comes; None is silence."""

    leaving: AlignInput | None
    coming: AlignInput | None
    asked_ns: int
    begun: bool = False
    done: int = 0  # samples of the fade so far

    @property
    def channels(self) -> int:
        item = self.coming or self.leaving
        assert item is not None
        return item.channels

    def ready(self, position: int | None, n: int) -> bool:
        """True when what comes has the span at `position` of its own timeline (None: not anchored yet)."""
        coming = self.coming
        if coming is None or coming.plan.muted or coming.idle or coming.ended_at is not None:
            return True
        return position is not None and coming.run(position) >= n
