"""How old frames are when a node takes them, as histograms on its board."""

from __future__ import annotations

from audio_pipeline.frame import Frame
from audio_pipeline.metrics import Board


class Ages:
    """Ages by input, and by each source that a frame was mixed from; the oldest frame of each is remembered."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def note(self, name: str, frame: Frame, now_ns: int) -> None:
        """A frame that was taken at input `name` at `now_ns`."""
        age_ms = max(now_ns - frame.captured_ns, 0) / 1e6
        self._observe(f"age.{name}", age_ms, frame, now_ns)
        for tag, younger_us in frame.sources:
            self._observe(f"age.{name}@{tag:08x}", max(age_ms - younger_us / 1e3, 0.0), frame, now_ns)

    def _observe(self, name: str, age_ms: float, frame: Frame, now_ns: int) -> None:
        if self._board.observe_ms(name, age_ms):
            self._board.remember(f"worst.{name}", frame.seq, frame.position, frame.epoch, now_ns)
