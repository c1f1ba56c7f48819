"""What there is to tell about speech while it is heard: first sound, clauses, words, holes, the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from audio_pipeline.models.speech.talker_live import BEGIN, Spoken

MOST_UNFINISHED = 200  # characters


class Notice(NamedTuple):
    """Something to tell, `at` so many samples from the first of the block."""

    kind: str
    at: int
    data: dict[str, Any]


class TalkerReport:
    """Looks at each block that is heard; positions are the caller's."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._asked_ns: int | None = None
        self.talking = False
        self.slow = False  # this text had a hole already
        self._hole = 0
        self.unfinished = ""  # the clause that is heard, or the text that will be: for a successor

    def asked(self, now_ns: int, text: str = "") -> None:
        """A text has come; if nothing is said yet, the wait for its first sound begins."""
        if not self.talking:
            self.unfinished = (self.unfinished + text)[:MOST_UNFINISHED]
        if not self.talking and self._asked_ns is None:
            self._asked_ns = now_ns

    def cancelled(self) -> None:
        """What was being said ends here; the wait for the next text begins anew."""
        self._asked_ns = None
        self.talking, self.slow, self._hole = False, False, 0
        self.unfinished = ""

    def notices(self, spoken: Spoken, missing: int, now_ns: int, *, making: bool, busy: bool) -> Iterator[Notice]:
        """What happens in a block of which `missing` samples were not there, `making` where that is the voice's fault.

        `start` {after_ms}, `clause` {text}, `clause_end`, `word` {text, samples}, `starved` {ms}, `done`.
        """
        if self._hole and len(spoken.sound):
            yield Notice("starved", 0, {"ms": self._hole * 1000 // self._rate})
            self._hole = 0
        for mark in spoken.marks:
            if mark.kind == BEGIN and not self.talking:
                yield self._start(mark.at, now_ns)
            if mark.kind == BEGIN:
                self.unfinished = mark.data["text"][:MOST_UNFINISHED]
            yield Notice(mark.kind, mark.at, mark.data)
        self._hole += self.starved(missing, making=making)
        if not busy:
            self.unfinished = ""
        if self.talking and not busy:
            self.cancelled()
            yield Notice("done", len(spoken.sound), {})

    def _start(self, at: int, now_ns: int) -> Notice:
        waited_ms = (now_ns - self._asked_ns) / 1e6 if self._asked_ns is not None else 0.0
        self.talking, self._asked_ns = True, None
        return Notice("start", at, {"after_ms": round(waited_ms, 1)})

    def starved(self, missing: int, *, making: bool) -> int:
        """Of the missing samples those that the voice was too slow for."""
        return missing if self.talking and making else 0


def whole(portions: list[tuple[int, str, bool]]) -> Iterator[tuple[int, str]]:
    """Texts put together from their portions, each at the position of its first."""
    start: int | None = None
    text = ""
    for position, portion, ends in portions:
        start, text = position if start is None else start, text + portion
        if ends:
            yield start, text
            start, text = None, ""
    if start is not None:
        yield start, text
