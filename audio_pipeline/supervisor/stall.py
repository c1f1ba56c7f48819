"""Offline, where nodes wait for each other: finds out that they all do."""

from __future__ import annotations

from collections.abc import Mapping

STALL_S = 30.0
FRESH_NS = 1_000_000_000  # a node whose loop has not turned for so long is at work
QUEUED = ".queued"


class Stall:
    """Watches what the boards count. A graph whose loops all turn and whose counters all stand still is stuck."""

    def __init__(self) -> None:
        self._since_ns = 0
        self._sum = 0.0

    def check(self, boards: Mapping[str, Mapping[str, float]], now_ns: int) -> str:
        """Why the graph is given up, or an empty string. `boards`: what each node that has not ended shows."""
        at_work = any(now_ns - board.get("beat_ns", 0) > FRESH_NS for board in boards.values())
        done = sum(sum(map(_moves, board.items())) for board in boards.values())
        if at_work or done != self._sum or not boards or not self._since_ns:
            self._since_ns, self._sum = now_ns, done
        if now_ns - self._since_ns < STALL_S * 1e9:
            return ""
        full = [
            f"{node} for {name.partition('>')[2].removesuffix(QUEUED)}"
            for node, board in boards.items()
            for name, value in board.items()
            if value and name.endswith(QUEUED)
        ]
        return (
            f"stuck: nothing has moved for {STALL_S:g} s, though no node is at work; "
            f"{', '.join(sorted(full)) or 'all'} waits to be taken from"
        )


def _moves(entry: tuple[str, float]) -> float:
    """What rises whenever a frame moves."""
    name, value = entry
    return value if name == "position" or name.endswith((".offered", ".delivered", ".sent")) else 0.0
