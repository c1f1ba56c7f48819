"""From one link to another at the same input of an aligned node, by position and without a step."""

from __future__ import annotations

from dataclasses import dataclass

from audio_pipeline.align_input import AlignInput

PATIENCE_NS = 3_000_000_000  # what has not come by then is stood in for, like anything that is missing
LAG_TICKS = 20  # so long it is only starting up; what is behind then stays behind


@dataclass
class Handover:
    """Who leaves an input and who comes; None is silence."""

    leaving: AlignInput | None
    coming: AlignInput | None
    asked_ns: int
    begun: bool = False
    done: int = 0  # samples of the fade so far
    behind: int = 0  # ticks for which what comes was behind what is heard

    @property
    def channels(self) -> int:
        item = self.coming or self.leaving
        assert item is not None
        return item.spec.channels

    def ready(self, position: int | None, n: int) -> bool:
        """True when what comes has the span at `position` of its own timeline (None: not anchored yet)."""
        coming = self.coming
        if coming is None or coming.spec.muted or coming.idle or coming.ended_at is not None:
            return True
        return position is not None and coming.run(position) >= n

    def lag(self, position: int, n: int) -> int:
        """Samples by which what comes is behind, once it is clear that it stays so."""
        coming = self.coming
        if coming is None or coming.capture is None or coming.ring.end >= position + n:
            self.behind = 0
            return 0
        self.behind += 1
        return position + n - coming.ring.end if self.behind > LAG_TICKS else 0
