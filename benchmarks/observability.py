"""What measuring costs: counting on a board, reading one, a state as metrics. `python benchmarks/observability.py`"""

from __future__ import annotations

import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from audio_pipeline.metrics import Board, Reading
from audio_pipeline.observe.prometheus import text_of
from tests.engine.test_prometheus import state

ROUNDS = 7


def cost_us(call: Callable[[], object], times: int) -> tuple[float, float, float]:
    """Microseconds a call: median, least and most of ROUNDS rounds."""
    rounds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter_ns()
        for _ in range(times):
            call()
        rounds.append((time.perf_counter_ns() - begun) / times / 1000)
    return statistics.median(rounds), min(rounds), max(rounds)


def main() -> None:
    """Prints a line each, and the share of a 10 ms frame that a node spends on all of it."""
    with tempfile.TemporaryDirectory() as folder:
        board = Board(Path(folder) / "board")
        values = iter(range(1, 1 << 60))
        whole = state()
        lines = [
            ("nothing (the loop itself)", cost_us(lambda: None, 100_000)),
            ("count", cost_us(lambda: board.add("count"), 100_000)),
            ("observe a duration", cost_us(lambda: board.observe_ms("age", 1.0), 100_000)),
            ("the worst frame so far", cost_us(lambda: board.remember("worst", next(values), 2, 3, 4), 20_000)),
            ("read a board", cost_us(lambda: Reading(Path(folder) / "board"), 200)),
            ("a state of 6 nodes as metrics", cost_us(lambda: text_of(whole), 10)),
        ]
        board.close()
    print(f"{platform.platform()}, Python {platform.python_version()}; µs a call: median (least to most of {ROUNDS})")
    for name, (median, least, most) in lines:
        print(f"{name:32} {median:9.2f} ({least:.2f} to {most:.2f})")
    _, add, observe, *_ = (median for _, (median, _, _) in lines)
    frame_us = 2 * observe + 4 * add  # age and wait; waits, wait_ns, steps, busy_ns
    print(f"a frame at a node: {frame_us:.1f} µs, {frame_us / 10_000:.3%} of 10 ms")
    print(f"metrics of 6 nodes: {len(text_of(whole))} bytes")


if __name__ == "__main__":
    main()
