"""What every stage of a benchmarked chain shares: numbered frames, a pace, and lists of when what happened.

Needs numpy only, since the peers run it in an environment of their own.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

Samples = np.ndarray[Any, np.dtype[np.float32]]

SAMPLES, CHANNELS = 480, 2
FRAME_BYTES = SAMPLES * CHANNELS * 4
PERIOD_NS = 10_000_000
MANY = 1 << 20  # numbers below it, divided by it, are exact in a float32 below 1: sound like any other


def tone() -> Samples:
    """440 Hz at -12 dBFS: (480, 2)."""
    wave = 0.25 * np.sin(2 * np.pi * 440 * np.arange(SAMPLES) / 48_000)
    return np.repeat(wave[:, None], CHANNELS, axis=1).astype(np.float32)


def number_of(frame: Samples) -> int:
    """What a source wrote into the first sample."""
    return int(float(frame[0, 0]) * MANY)


class Pace:
    """Deadlines every 10 ms, slept to."""

    def __init__(self) -> None:
        self.deadline_ns = time.monotonic_ns()

    def wait(self) -> int:
        """Sleeps to the next deadline; how late it woke, in ns."""
        self.deadline_ns += PERIOD_NS
        left = self.deadline_ns - time.monotonic_ns()
        if left > 0:
            time.sleep(left / 1e9)
        return time.monotonic_ns() - self.deadline_ns


class Times:
    """(number, time and what else is known) of each frame, kept in memory and written at the end."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._rows: list[tuple[int, ...]] = []

    def add(self, *row: int) -> None:
        self._rows.append(row)

    def save(self) -> None:
        """As `NAME.npy`, at once or not at all."""
        part = self._folder / f"{self._name}.part.npy"
        np.save(part, np.array(self._rows, np.int64).reshape(len(self._rows), -1))
        part.rename(self._folder / f"{self._name}.npy")


class Maker:
    """The first stage: numbers its frames and notes when it handed each over."""

    def __init__(self, folder: Path) -> None:
        self.times = Times(folder, "sent0")
        self._tone, self._number = tone(), 0

    def frame(self) -> Samples:
        """The next one, handed over now."""
        block = self._tone.copy()
        block[0, 0] = self._number / MANY
        self.times.add(self._number, time.monotonic_ns())
        self._number += 1
        return block


def announce(folder: Path, name: str) -> None:
    """Says which process this stage is."""
    (folder / f"{name}.pid").write_text(str(os.getpid()), encoding="utf-8")
