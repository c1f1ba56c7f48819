"""English text to phonemes as Kokoro reads them (misaki's alphabet), numbers, dates and units said in words."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

RATES = {"m/s": "meters per second", "m/s²": "meters per second squared", "mi/h": "miles per hour"}
RATE = re.compile(r"(?<=\d)\s*(m/s²|m/s|mi/h)(?![\w/])")  # units that the package spells letter by letter


class Spoken(NamedTuple):
    """A word as it is said: `text` has numbers and units written out."""

    text: str
    phonemes: str


@lru_cache(maxsize=2)
def _reader(british: bool) -> Any:
    from hibari.g2p import G2P

    return G2P(british=british)


def to_words(text: str, *, british: bool = False) -> list[Spoken]:
    """The words of one piece of text; what cannot be read (signs of other scripts, pictures) has no phonemes."""
    from hibari.g2p.normalize import normalize

    reader = _reader(british)
    tokens = reader.phonemize_tokens(reader.tokenize(normalize(RATE.sub(_rate, text))))
    found: list[Spoken] = []
    glued = False
    for token in tokens:
        part = Spoken(token.text, token.phonemes or "")
        if glued:
            before = found.pop()
            part = Spoken(before.text + part.text, before.phonemes + part.phonemes)
        found.append(part)
        glued = not token.whitespace
    return found


def to_phonemes(text: str, *, british: bool = False) -> str:
    """The phonemes of one piece of text, a space between two words."""
    return joined(to_words(text, british=british))


def joined(words: list[Spoken]) -> str:
    """The phonemes of words in a row."""
    return " ".join(word.phonemes for word in words).strip()


def _rate(match: re.Match[str]) -> str:
    return f" {RATES[match.group(1)]}"
