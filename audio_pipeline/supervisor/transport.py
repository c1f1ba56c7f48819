"""Where in the song we are: the map from content position to song time, by source."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from audio_pipeline.control.events import NodeEvent
from audio_pipeline.control.numbers import finite
from audio_pipeline.graph.types import Graph
from audio_pipeline.node import Source
from audio_pipeline.supervisor.records import NodeRecord

FORMER = 200  # sources that were taken out and may be back
KEEP = 256  # pieces of the map; a loop of a second lasts minutes


@dataclass(frozen=True)
class Piece:
    """From `position` on, song time runs from `media_s`."""

    position: int
    media_s: float
    length_s: float
    media_id: str
    rate: float


@dataclass
class Transport:
    """Desired and known state of one source that can be paused and sought."""

    playing: bool = True
    loop: bool = False
    generation: int = 0
    position: int = 0  # last position the source sent
    pieces: deque[Piece] = field(default_factory=lambda: deque(maxlen=KEEP))

    def on_event(self, event: NodeEvent) -> None:
        """Takes a `media` event of the source."""
        self.pieces.append(
            Piece(
                event.position,
                finite(event.data.get("media_s", 0.0)),
                finite(event.data.get("length_s") or 0.0),
                str(event.data.get("media_id", "")),
                finite(event.data.get("rate", 1.0)),
            )
        )

    def piece_at(self, position: int) -> Piece | None:
        """The newest piece that had begun at `position`."""
        begun = [piece for piece in self.pieces if piece.position <= position]
        return begun[-1] if begun else (self.pieces[0] if self.pieces else None)

    def media_s(self, position: int, rate: int) -> float:
        """Song time at a content position."""
        piece = self.piece_at(position)
        if piece is None:
            return 0.0
        return piece.media_s + max(position - piece.position, 0) / rate * piece.rate


class Transports(dict[str, Transport]):
    """Those of all sources of a graph, by name."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(
            (name, Transport(loop=_loops(spec.settings)))
            for name, spec in graph.nodes.items()
            if issubclass(spec.cls, Source)
        )
        self._former: dict[str, Transport] = {}

    def join(self, record: NodeRecord) -> None:
        """A source that joins can be paused and sought; what is left of an earlier one of its name is not heard."""
        if issubclass(record.spec.cls, Source):
            before = self._former.pop(record.name, None)
            generation = before.generation + 1 if before else 0
            self[record.name] = Transport(loop=_loops(record.settings), generation=generation)

    def leave(self, name: str) -> None:
        """A source that was taken out."""
        if name in self:
            self._former[name] = self.pop(name)
            while len(self._former) > FORMER:
                del self._former[next(iter(self._former))]


def _loops(settings: Any) -> bool:
    return bool(getattr(settings, "loop", False))
