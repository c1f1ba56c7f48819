"""What died and how, for the report and for whoever watches: the newest in full, older ones in brief, all counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from audio_pipeline.control.incident import Incident

KEPT = 1_000
WHOLE = 50  # older ones keep when, who and why
CAUSE_CHARACTERS = 1_000


def clipped(text: str, most: int) -> str:
    """A text of at most `most` characters.

    >>> clipped("a long sentence", 7), clipped("short", 7)
    ('a long…', 'short')
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


class Incidents:
    """A list with a bound, and how many there were in all."""

    def __init__(self) -> None:
        self.total = 0
        self._kept: deque[Incident] = deque(maxlen=KEPT)

    def add(self, incident: Incident) -> None:
        """Takes one in; the one that is not among the newest any more loses what is long."""
        self.total += 1
        self._kept.append(incident)
        if len(self._kept) > WHOLE:
            self._kept[-WHOLE - 1] = self._kept[-WHOLE - 1].brief

    def __iter__(self) -> Iterator[Incident]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)
