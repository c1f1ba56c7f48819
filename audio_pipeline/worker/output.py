"""One output of a running node: its framer, its port, its level."""

from __future__ import annotations

from audio_pipeline.links.framer import Framer
from audio_pipeline.links.producer import OutPort
from audio_pipeline.worker.level import Level


class Out:
    """What a node emits goes through the framer to the port; its level is measured on the way."""

    def __init__(self, name: str, timeline: str, port: OutPort, framer: Framer, *, events: bool) -> None:
        self.name, self.timeline, self.port, self.framer, self.events = name, timeline, port, framer, events
        self.slots: dict[str, tuple[int, int]] = {}  # on the board, by consumer: frames queued, frames under way
        self.level = Level()
        self.shown_ns = 0

    def enter_timeline(self, timeline: str, generation: int) -> None:
        """What goes out from now on has positions of another timeline."""
        self.framer.flush()
        self.timeline, self.framer.generation = timeline, generation
        self.port.enter_timeline(timeline)

    def cancel(self, generation: int) -> None:
        """Nothing older is sent or remembered."""
        self.framer.cancel(generation)
        self.port.cancel(generation)
