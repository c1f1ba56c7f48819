"""How old frames are when a node takes them, as histograms on its board."""

from __future__ import annotations

from audio_pipeline.frame import Frame
from audio_pipeline.metrics import Board, Histogram

Of = tuple[str, int | None]  # an input, and the tag of a source that its sound was mixed from


class Ages:
    """Ages by input, and by each source that a frame was mixed from; the oldest frame of each is remembered."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._histograms: dict[Of, Histogram] = {}

    def note(self, name: str, frame: Frame, now_ns: int) -> None:
        """A frame that was taken at input `name` at `now_ns`."""
        age_ms = max(now_ns - frame.captured_ns, 0) / 1e6
        self._observe((name, None), age_ms, frame, now_ns)
        for tag, younger_us in frame.sources:
            self._observe((name, tag), max(age_ms - younger_us / 1e3, 0.0), frame, now_ns)

    def _observe(self, of: Of, age_ms: float, frame: Frame, now_ns: int) -> None:
        histogram = self._histograms.get(of)
        if histogram is None:
            histogram = self._histograms[of] = self._board.histogram(_name(of))
        if histogram.observe_ms(age_ms):
            self._board.remember(f"worst.{_name(of)}", frame.seq, frame.position, frame.epoch, now_ns)


def _name(of: Of) -> str:
    name, tag = of
    return f"age.{name}" if tag is None else f"age.{name}@{tag:08x}"
