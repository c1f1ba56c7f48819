"""Styled text for the terminal view, known to no terminal: numbers, meters, bars."""

from __future__ import annotations

import math

from audio_pipeline.control.state import Status

Part = tuple[str, str]  # text and its rich style
Line = list[Part]

SILENCE_DB = -120.0  # what a level that is nothing at all is told as
FLOOR_DB = -60.0  # left end of a level meter
ZONES_DB = ((-12.0, "green"), (-3.0, "yellow"), (math.inf, "red"))
FADER_DB = (-60.0, 12.0)  # the fader's travel
RETURN_DB_PER_S = 20 / 1.7  # how fast a held peak falls: IEC 60268-18
DIM = "color(245)"
FAINT = "color(237)"


def clock_text(seconds: float) -> str:
    """
    >>> clock_text(83.4), clock_text(3725), clock_text(-1)
    ('1:23', '1:02:05', '0:00')
    """
    whole = max(int(seconds), 0)
    minutes = f"{whole // 60 % 60:02d}:{whole % 60:02d}" if whole >= 3600 else f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{minutes}" if whole >= 3600 else minutes


def db_text(value_db: float) -> str:
    """
    >>> db_text(-12.34), db_text(-120.0)
    ('-12.3', '-inf')
    """
    return f"{value_db:.1f}" if value_db > SILENCE_DB else "-inf"


def ms_text(value_ms: float) -> str:
    """
    >>> ms_text(3.24), ms_text(187.4), ms_text(12000)
    ('3.2 ms', '187 ms', '12.0 s')
    """
    if value_ms >= 10_000:
        return f"{value_ms / 1000:.1f} s"
    return f"{value_ms:.0f} ms" if value_ms >= 10 else f"{value_ms:.1f} ms"


def content_s(status: Status) -> float:
    """How much sound has gone through: by the clock, or offline by the share of the song."""
    if status.description.live:
        return status.meters.position / status.description.rate
    return status.meters.progress * max((song.length_s for song in status.songs.values()), default=0.0)


class PeakHold:
    """Peaks that fall back slowly, by name, so that the eye can catch them."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[float, float]] = {}  # dB and the time it was taken

    def __call__(self, name: str, peak_db: float, now_s: float) -> float:
        """The held peak in dBFS once `peak_db` has been seen at `now_s`."""
        held_db, then_s = self._held.get(name, (-math.inf, now_s))
        fallen_db = held_db - RETURN_DB_PER_S * (now_s - then_s)
        self._held[name] = (max(peak_db, fallen_db), now_s)
        return self._held[name][0]


def meter(rms_db: float, peak_db: float, width: int) -> Line:
    """A level bar of `width` cells from FLOOR_DB to 0 dBFS: RMS as a bar, the held peak as a tick."""

    def cell_of(db: float) -> float:
        return width * min(max(1 - db / FLOOR_DB, 0.0), 1.0) if math.isfinite(db) else 0.0

    filled, tick = cell_of(rms_db), min(int(cell_of(peak_db)), width - 1)
    line: Line = []
    for cell in range(width):
        style = next(style for top_db, style in ZONES_DB if FLOOR_DB * (1 - (cell + 0.5) / width) < top_db)
        if cell == tick and peak_db > FLOOR_DB and cell > int(filled):
            line.append(("┃", style))
        elif cell + 0.25 < filled:
            line.append(("━" if cell + 0.75 < filled else "╸", style))
        else:
            line.append(("─", FAINT))
    return joined(line)


def joined(line: Line) -> Line:
    """Neighbouring parts of one style as one part: half the work for whoever prints it."""
    out: Line = []
    for text, style in line:
        if out and out[-1][1] == style:
            out[-1] = (out[-1][0] + text, style)
        else:
            out.append((text, style))
    return out


def progress_bar(share: float, width: int, style: str = "cyan") -> Line:
    """A thin bar of `width` cells, `share` (0..1) of it filled."""
    done = round(width * min(max(share, 0.0), 1.0))
    return [("━" * done, style), ("─" * (width - done), FAINT)]


def width_of(line: Line) -> int:
    """Cells a line takes (all our characters are one cell wide but those of song titles)."""
    return sum(len(text) for text, _ in line)


def spread(left: Line, right: Line, width: int) -> Line:
    """`left` and `right` at the two ends of a line; `right` gives way where there is no room for both."""
    free = width - width_of(left) - width_of(right)
    return [*left, (" " * free, ""), *right] if free >= 1 else left
