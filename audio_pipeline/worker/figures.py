"""Counters and gauges of a node's own, on its board."""

from __future__ import annotations

from audio_pipeline.errors import NodeError
from audio_pipeline.metrics import Board

NAME_CHARACTERS = 100  # the state of a pipeline holds the names of all of them


class Figures:
    """Checks what a node counts and shows before it goes on the board."""

    def __init__(self, board: Board, node: str) -> None:
        self._board, self._node = board, node

    def count(self, name: str, amount: int = 1) -> None:
        """Adds to a counter. Raises NodeError for what is no whole number."""
        try:
            self._board.add(f"count.{name[:NAME_CHARACTERS]}", amount)
        except (TypeError, ValueError):
            reason = f"{self._node} counts {amount!r:.80} as {name!r:.80}, expected a whole number"
            raise NodeError(reason) from None

    def gauge(self, name: str, value: float) -> None:
        """Shows a value. Raises NodeError for what is no number."""
        try:
            self._board.gauge(f"gauge.{name[:NAME_CHARACTERS]}", value)
        except (TypeError, ValueError, OverflowError):
            raise NodeError(f"{self._node} shows {value!r:.80} as {name!r:.80}, expected a number") from None
