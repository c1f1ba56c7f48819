"""The screen of `tap`: meters and a spectrogram that moves, as styled lines."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.refs import PortRef
from audio_pipeline.view.text import DIM, Line, clock_text, db_text, joined, meter, ms_text, spread

Array = NDArray[np.float32]
TOP_DB, BOTTOM_DB = -5.0, -90.0
# black, violet, red, yellow, white: seen as brighter the louder, also without an eye for colour
STOPS = (
    (0, 0, 4),
    (40, 11, 84),
    (101, 21, 110),
    (159, 42, 99),
    (212, 72, 66),
    (245, 125, 21),
    (250, 193, 39),
    (252, 255, 164),
)
SHADES = 32
AXIS = 7
UPPER = "▀"


def _palette() -> list[str]:
    at = np.linspace(0, len(STOPS) - 1, SHADES)
    parts = [np.interp(at, range(len(STOPS)), [stop[i] for stop in STOPS]).round().astype(int) for i in range(3)]
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in zip(*parts, strict=True)]


PALETTE = _palette()


def shades(columns_db: Array) -> NDArray[np.int64]:
    """Index into the palette for each value in dB."""
    share = (columns_db - BOTTOM_DB) / (TOP_DB - BOTTOM_DB)
    index: NDArray[np.int64] = (np.clip(share, 0, 1) * (SHADES - 1)).round().astype(np.int64)
    return index


class Waterfall:
    """The newest columns of a spectrogram, two bands a cell."""

    def __init__(self, bands: int, edges_hz: Sequence[float]) -> None:
        self._bands, self._edges = bands, edges_hz
        self._columns: deque[NDArray[np.int64]] = deque(maxlen=1000)

    def add(self, columns_db: Array) -> None:
        self._columns.extend(shades(columns_db))

    def lines(self, width: int) -> list[Line]:
        """The picture, newest to the right, `bands / 2` lines and as wide as asked for, frequencies at its left."""
        free = max(width - AXIS, 1)
        shown = list(self._columns)[-free:]
        empty = [np.zeros(self._bands, np.int64)] * (free - len(shown))
        grid = np.array([*empty, *shown])
        return [[(self._label(row), DIM), *self._cells(grid, row)] for row in range(self._bands // 2)]

    def _label(self, row: int) -> str:
        hz = float(self._edges[self._bands - 2 * row - 1])
        every = max(self._bands // 2 // 8, 1)
        text = (f"{hz / 1000:.1f}k" if hz >= 1000 else f"{hz:.0f}") if row % every == 0 else ""
        return f"{text:>{AXIS - 1}} "

    def _cells(self, grid: NDArray[np.int64], row: int) -> Line:
        upper, lower = grid[:, self._bands - 1 - 2 * row], grid[:, self._bands - 2 - 2 * row]
        styled = [(UPPER, f"{PALETTE[a]} on {PALETTE[b]}") for a, b in zip(upper, lower, strict=True)]
        return joined(styled)


@dataclass(frozen=True)
class Listening:
    """What is listened to, and how it goes."""

    port: PortRef
    pipeline: str
    channels: int
    rate: int
    lost: int  # frames
    age_ms: float  # of the newest frame
    seconds: float  # of sound so far


def header(now: Listening, width: int) -> Line:
    """The screen's first line."""
    lost = f" · lost {now.lost}" if now.lost else ""
    right = f"{now.channels} ch · {now.rate} Hz · age {ms_text(now.age_ms)}{lost} · {clock_text(now.seconds)} "
    return spread([(f" {now.port} ", "bold reverse cyan"), (f"  {now.pipeline}", DIM)], [(right, DIM)], width)


def level_lines(levels_db: Sequence[tuple[float, float]], held_db: Sequence[float], width: int) -> list[Line]:
    """A meter a channel: RMS as a bar, the held peak as a tick, both as numbers."""
    lines = []
    for number, ((peak_db, rms_db), held) in enumerate(zip(levels_db, held_db, strict=True), 1):
        text = f" {db_text(peak_db):>6} peak {db_text(rms_db):>6} rms dBFS "
        bar = max(width - len(text) - 4, 4)
        lines.append([(f" {number} ", DIM), *meter(rms_db, held, bar), (text, "red" if peak_db > 0 else "")])
    return lines
