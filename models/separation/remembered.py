"""Which hop a separator should start with on this machine, from what earlier runs showed.

A warm-up measures a process that has the machine to itself. A run shows what held with its whole graph: a hop that went
without a miss for a minute, the hop above it that was tried, or that the stream had to step down; and how late the
answers came, which is what the next start states in place of a careful guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from audio_pipeline import threads
from audio_pipeline.models.separation.cache_table import machine_key, read_table, write_entry
from audio_pipeline.models.separation.responses import Responses, responses_of
from audio_pipeline.models.separation.types import HOPS
from audio_pipeline.models.weights.store import cache_folder

FILE = "separator.json"  # in the cache folder
RESPONSES = "responses.json"  # beside it
NS = 1_000_000_000
HELD_S = 60.0  # without a miss: long enough for a spare process to start, a song to change and a view to open


class Remembered:
    """What is known of one network on this machine, and what the run adds to it. Nothing of it waits for the disk."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key, self._beside = path, key, path.with_name(RESPONSES)
        self._evidence: Evidence | None = None

    def settle(self, measured: int) -> int:
        """The hop to begin with, where the warm-up asks for `measured`."""
        return starting_hop(measured, recall(self._path, self._key))

    def responses(self, hop: int) -> Responses:
        """Of a stream at this hop: those that are known, and what the run adds to them."""
        key = self._at(hop)

        def keep(slowest: Sequence[float]) -> None:
            in_ms = [round(1000 * max(seconds, 0.001), 1) for seconds in slowest]
            threads.start(partial(write_entry, self._beside, key, in_ms), "remember", on_error=lambda _: None)

        return Responses(self.slowest(hop), keep)

    def slowest(self, hop: int) -> list[float]:
        """The slowest answer of each of the latest minutes at this hop, in seconds."""
        return responses_of(read_table(self._beside).get(self._at(hop)))

    def _at(self, hop: int) -> str:
        return f"{self._key}; hop {hop}"

    def begin(self, hop: int) -> Remembered:
        """The run begins, and states this hop."""
        self._evidence = Evidence(hop)
        return self

    def note(self, now_ns: int, step: int, missed: int) -> None:
        """After each window; see `Evidence.note`."""
        hop = self._evidence.note(now_ns, step, missed) if self._evidence else None
        if hop is not None:  # a cache that cannot be written is no reason to end anything
            threads.start(partial(remember, self._path, self._key, hop), "remember", on_error=lambda _: None)


def remembered(engine: str, run: Sequence[object]) -> Remembered:
    """For an engine on this machine; `run` is what else decides how long an inference takes."""
    return Remembered(cache_folder().parent / FILE, machine_key(engine, *run))


class Evidence:
    """What a run shows about its hop: `note` after each window; a hop once it is another.

    A hop holds when the stream stood on it, or above it, for `held_s` without a miss. Below the stated rung
    twice the hop is called for, until the stated one has held again.
    """

    def __init__(self, hop: int, held_s: float = HELD_S) -> None:
        self._hop, self._held_ns = hop, round(held_s * NS)
        self._step = self._missed = 0
        self._since_ns: int | None = None
        self._last: int | None = None

    def note(self, now_ns: int, step: int, missed: int) -> int | None:
        """The stream stands `step` rungs below the stated one (-1: above it), `missed` deadlines in all."""
        if self._since_ns is None or step != self._step or missed != self._missed:
            self._since_ns, self._step, self._missed = now_ns, step, missed
        if step > 0:
            return self._changed(2 * self._hop)
        if now_ns - self._since_ns >= self._held_ns:
            return self._changed(self._hop // 2 if step < 0 else self._hop)
        return None

    def _changed(self, hop: int) -> int | None:
        hop = min(max(hop, HOPS[0]), HOPS[-1])
        if hop == self._last:
            return None
        self._last = hop
        return hop


def starting_hop(measured: int, remembered: int | None) -> int:
    """The hop to begin with: what held before, but never under half of what the warm-up asks for now.

    >>> starting_hop(4, None), starting_hop(4, 2), starting_hop(8, 2), starting_hop(4, 8)
    (4, 2, 4, 8)
    """
    return measured if remembered is None else max(remembered, measured // 2, HOPS[0])


def recall(path: Path, key: str) -> int | None:
    """The hop that is remembered for a machine and model; None where there is none, or no such file can be read."""
    hop = read_table(path).get(key)
    return hop if isinstance(hop, int) and hop in HOPS else None


def remember(path: Path, key: str, hop: int) -> None:
    """Writes it down, whole or not at all, beside what others write. Raises OSError."""
    write_entry(path, key, hop)
