"""Cuts text that is still being written into pieces to speak: the first one short, so that speech starts soon.

A synthesiser speaks a piece at once, so the first sound cannot come before the first piece ends. The first piece
therefore ends at the first comma or stop behind a few words; the next ones grow, since by then there is sound to
play meanwhile, up to whole sentences of a length that still sounds like one breath.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

TITLES = frozenset("mr mrs ms dr prof rev hon sr jr st vs etc e.g i.e fig no vol".split())
PARAGRAPH = r"\n[ \t\r]*\n\s*"  # one line break alone ends nothing
_STOP = r"[.!?…。！？]{1,16}[\"'”’)\]]{0,8}(?=\s|$)"  # bounded: each place in a row of points is tried
STOP = re.compile(rf"{_STOP}|{PARAGRAPH}")
CLAUSE = re.compile(rf"[,;:—–][\"'”’)\]]{{0,8}}(?=\s|$)|{_STOP}|{PARAGRAPH}")
BLANKS = re.compile(r"\s*")
FILE_MOST = 400  # characters; Kokoro takes 510 phonemes at once
BEHIND = 64  # characters behind the longest piece that are looked at
WORD = re.compile(r"\S+\s*")


@dataclass(frozen=True)
class Policy:
    """Lengths in characters: a piece ends at the first clause end from `least` on, at `most` between two words."""

    first_least: int = 10
    first_most: int = 48
    growth: float = 1.8
    most: int = 250
    tiny: int = 12  # a last piece shorter than this is said with the one before it
    sentences: bool = False  # nobody waits: no cut inside of a sentence unless it is longer than `most`


def for_a_file(policy: Policy | None) -> Policy:
    """For speech that is written to a file: whole sentences, several of them where they are short."""
    most = policy.most if policy else FILE_MOST
    return replace(policy or Policy(), first_least=most // 4, first_most=most, most=most, sentences=True)


@dataclass(frozen=True)
class Clause:
    """A piece of text and whether a sentence ends with it."""

    text: str
    ends_sentence: bool


class ClauseSplitter:
    """Takes text in any portions; gives pieces as soon as their end is certain, all text in order."""

    def __init__(self, policy: Policy | None = None) -> None:
        self._policy = policy or Policy()
        self.reset()

    def reset(self) -> None:
        """The next text is the beginning of another."""
        self._text, self._whole = "", False
        self.most_now: float | None = None  # what whoever speaks has time for; never less than a first piece
        self._least, self._most = float(self._policy.first_least), float(self._policy.first_most)

    def push(self, text: str) -> Iterator[Clause]:
        """The pieces that are whole now."""
        self._text += text
        while (end := self._end()) is not None:
            yield from self._cut(self._with_tiny(end))

    def hurry(self) -> Iterator[Clause]:
        """Up to the last end of a clause that is certain, however short: nothing else is there to be said."""
        ends = [match.end() for match in CLAUSE.finditer(self._text) if self._is_end(match)]
        if ends:
            yield from self._cut(ends[-1])

    def settle(self) -> Iterator[Clause]:
        """All that is left, as if it ended here; what comes after goes on with pieces of the length reached."""
        self._text, self._whole = self._text.rstrip() + "\n\n", True
        yield from self.push("")
        yield from self._cut(len(self._text))
        self._whole = False

    def flush(self) -> Iterator[Clause]:
        """All that is left: the text has ended."""
        yield from self.settle()
        self.reset()

    def _too_little_behind(self, end: int) -> bool:
        """True where a tiny rest may be all that follows; the first piece does not wait for that to be known."""
        first = self._least == self._policy.first_least
        return not (first or self._whole) and self._left(end) < self._policy.tiny

    def _left(self, end: int) -> int:
        """How many characters follow; of many only that they are many."""
        blanks = BLANKS.match(self._text, end)
        start = blanks.end() if blanks else end
        return len(self._text[start : start + BEHIND].rstrip())

    def _with_tiny(self, end: int) -> int:
        """The end of the text where so little is left behind `end` that it would sound odd alone."""
        left = self._left(end)
        return len(self._text) if self._whole and 0 < left < self._policy.tiny else end

    def _cut(self, end: int) -> Iterator[Clause]:
        piece, self._text = self._text[:end], self._text[end:]
        text = " ".join(piece.split())
        if any(char.isalnum() for char in text):
            yield Clause(text, bool(STOP.search(piece.rstrip()[-4:])) or piece.rstrip(" ").endswith("\n\n"))
            self._least = min(self._least * self._policy.growth, self._policy.most / 2)
            self._most = min(self._most * self._policy.growth, self._policy.most)

    def _end(self) -> int | None:
        """Where the first piece ends; None while more text could change that."""
        least, longest = self._lengths()
        early = least <= self._policy.first_least * self._policy.growth
        pattern = CLAUSE if early and not self._policy.sentences else STOP
        found = self._boundary(pattern, least, longest)
        if found is not None and found <= longest:
            return None if self._too_little_behind(found) else found
        if len(self._text) <= longest:
            return None
        return self._last_boundary(int(longest)) or self._last_space(longest)

    def _lengths(self) -> tuple[float, float]:
        """The least and the most characters of the next piece."""
        if self.most_now is None:
            return self._least, self._most
        most = max(min(self._most, self.most_now), self._policy.first_most)
        return max(min(self._least, most / 2), self._policy.first_least), most

    def _boundary(self, pattern: re.Pattern[str], least: float, longest: float) -> int | None:
        """The end of the first stop behind enough characters; none that lies too far is looked for."""
        found = pattern.finditer(self._text, 0, int(longest) + BEHIND)
        ends = (match.end() for match in found if self._is_end(match))
        return next((end for end in ends if end >= least), None)

    def _last_boundary(self, most: int) -> int | None:
        """The last end of a clause that is not too far."""
        ends = (match.end() for match in CLAUSE.finditer(self._text[: most + 1]) if self._is_end(match))
        return max((end for end in ends if end <= most), default=None)

    def _is_end(self, match: re.Match[str]) -> bool:
        """Not the point of "Dr.", "e.g." or an initial; and more text must follow, or it could be "3.5"."""
        if match.group().isspace():
            return bool(self._text[: match.start()].strip())
        if match.end() >= len(self._text):
            return False
        word = self._text[: match.start()].rpartition(" ")[2].strip("(\"'“‘").lower()
        return not (match.group() == "." and (word in TITLES or (len(word) == 1 and word.isalpha())))

    def _last_space(self, most: float) -> int:
        end = 0
        for match in WORD.finditer(self._text, 0, int(most) + BEHIND):
            if match.end() > most:
                break
            end = match.end()
        return end or int(most)
