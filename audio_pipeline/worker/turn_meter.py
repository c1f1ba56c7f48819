"""What a node's turns took, on its board: slots are looked up once, since this is written at each turn."""

from __future__ import annotations

from audio_pipeline.metrics import Board


class TurnMeter:
    """Signs of life, time at work, and time that something due has waited."""

    def __init__(self, board: Board) -> None:
        self._ints, self._histogram = board.ints, board.histogram
        names = ("beat_ns", "steps", "busy_ns", "worst_step_ns", "waits", "wait_ns")
        self._beat, self._steps, self._busy_ns, self._worst, self._waits, self._wait_ns = map(board.slot, names)

    def turn(self, began_ns: int, now_ns: int, *, moved: bool) -> None:
        """A turn is over; `moved` where it did anything."""
        ints, took_ns = self._ints, now_ns - began_ns
        ints[self._beat] = now_ns
        ints[self._steps] += 1
        ints[self._busy_ns] += took_ns
        if took_ns > ints[self._worst]:
            ints[self._worst] = took_ns
        if moved:
            self._histogram("busy").observe_ms(took_ns / 1e6)

    def waited(self, wait_ns: int) -> None:
        """Something that was due, or had come, so long ago is begun now."""
        wait_ns = max(wait_ns, 0)
        self._ints[self._waits] += 1
        self._ints[self._wait_ns] += wait_ns
        self._histogram("wait").observe_ms(wait_ns / 1e6)
