"""From a few written words to spoken ones: all rules in their order."""

from __future__ import annotations

import re
from collections.abc import Callable

from audio_pipeline.models.speech.text.abbreviations import abbreviations, roman
from audio_pipeline.models.speech.text.addresses import links, names
from audio_pipeline.models.speech.text.cleaning import clean, clean_lightly
from audio_pipeline.models.speech.text.layout import BROKEN
from audio_pipeline.models.speech.text.markup import plain
from audio_pipeline.models.speech.text.money import money
from audio_pipeline.models.speech.text.numbers import codes, decades, numbers
from audio_pipeline.models.speech.text.signs import signs, unaccented
from audio_pipeline.models.speech.text.times import dates, times
from audio_pipeline.models.speech.text.units import units

BLANKS = re.compile(r"  +")
TWO_NUMBERS = re.compile(rf"(?<=\d)-{BROKEN}(?=\d)")
HYPHENATED = re.compile(rf"([^\W\d_]+)-{BROKEN}([^\W\d_]+)?")
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
SPACE_BEFORE = re.compile(r"\s+([,;:!?)]|\.(?!\w))")
UNDERSCORED = re.compile(r"(?<=\d)_(?=\d{3}(?!\d))")
Known = Callable[[str], bool]
LeftOut = Callable[[str], None]


def cleaned(text: str, known: Known, *, english: bool = True) -> str:
    """Marks and invisible signs gone, words of two lines joined, one blank between words; blank lines stay."""
    text = TWO_NUMBERS.sub("-", BLANKS.sub(" ", text))
    text = plain(HYPHENATED.sub(lambda match: _joined_lines(match, known), text).replace(BROKEN, " "))
    parts = text.split("\n\n") if "\n" in text else [text]
    plainer = (" ".join((clean if english else clean_lightly)(part).split()) for part in parts)
    return "\n\n".join(filter(None, plainer))


def spoken(text: str, known: Known, left_out: LeftOut) -> str:
    """English words as they are said; blank lines stay."""
    found = []
    for part in cleaned(text, known).split("\n\n"):
        spoken_form = signs(_expanded(part), left_out)
        spoken_form = WORD.sub(lambda match: _plain_letters(match[0], known), spoken_form)
        spoken_form = spoken_form.strip().removeprefix("—")
        found.append(SPACE_BEFORE.sub(r"\1", " ".join(spoken_form.split())))
    return "\n\n".join(filter(None, found))


def _expanded(text: str) -> str:
    text = links(text)
    if not any(char.isdigit() for char in text):
        return roman(units(abbreviations(names(text))))
    text = names(dates(codes(UNDERSCORED.sub(",", text))))
    text = money(decades(times(abbreviations(text))))
    return roman(numbers(units(text)))


def _joined_lines(match: re.Match[str], known: Known) -> str:
    """What stood on two lines: one word, unless only its parts are words."""
    head, tail = match[1], match[2]
    if tail is None:
        return f"{head}-"
    if not tail[0].islower() or (not known(head + tail) and known(head) and known(tail)):
        return f"{head}-{tail}"
    return head + tail


def _plain_letters(word: str, known: Known) -> str:
    if word.isascii() or known(word):
        return word
    return unaccented(word)
