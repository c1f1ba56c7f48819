"""One output of a running node: its framer, its port, its level."""

from __future__ import annotations

import numpy as np

from audio_pipeline.frame import Samples
from audio_pipeline.links.ports import Framer
from audio_pipeline.links.producer import OutPort

SILENCE_DB = -120.0


class Out:
    """What a node emits goes through the framer to the port; its level is measured on the way."""

    def __init__(self, name: str, timeline: str, port: OutPort, framer: Framer, *, events: bool) -> None:
        self.name, self.timeline, self.port, self.framer, self.events = name, timeline, port, framer, events
        self.peak = 0.0
        self.square_sum = 0.0
        self.samples = 0
        self.shown_ns = 0

    def measure(self, x: Samples) -> None:
        """Adds to the level of the current tenth of a second."""
        if x.size:
            self.peak = max(self.peak, float(np.abs(x).max()))
            self.square_sum += float(np.vdot(x, x))
            self.samples += x.size

    def level_db(self) -> tuple[float, float]:
        """Peak and RMS since the last call, dBFS."""
        rms = (self.square_sum / self.samples) ** 0.5 if self.samples else 0.0
        result = _db(self.peak), _db(rms)
        self.peak, self.square_sum, self.samples = 0.0, 0.0, 0
        return result

    def enter_timeline(self, timeline: str, generation: int) -> None:
        """What goes out from now on has positions of another timeline."""
        self.framer.flush()
        self.timeline, self.framer.generation = timeline, generation
        self.port.enter_timeline(timeline)

    def cancel(self, generation: int) -> None:
        """Nothing older is sent or remembered."""
        self.framer.cancel(generation)
        self.port.cancel(generation)


def _db(amplitude: float) -> float:
    return 20 * float(np.log10(amplitude)) if amplitude > 1e-6 else SILENCE_DB
