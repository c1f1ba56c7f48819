"""Signs that are left: in words where they mean something, otherwise gone; letters that this voice cannot say."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from audio_pipeline.models.speech.text.words import cardinal

WORDS = {
    "+": "plus",
    "=": "equals",
    "≠": "is not equal to",
    "≈": "is about",
    "≤": "is less than or equal to",
    "≥": "is greater than or equal to",
    "±": "plus or minus",
    "×": "times",
    "÷": "divided by",
    "√": "square root of",
    "∞": "infinity",
    "°": "degrees",
    "§": "section",
    "¶": "paragraph",
    "©": "copyright",
    "→": "to",
    "⇒": "implies",
    "↔": "to and from",
    "∑": "sum",
    "∫": "integral",
    "∂": "partial",
    "∆": "delta",
    "%": "percent",
    "‰": "per thousand",
    "−": "minus",
    "¢": "cents",
    "Ω": "ohm",
    "♯": "sharp",
    "♭": "flat",
    "∈": "in",
    "∅": "empty set",
    "@": "at",
    "≡": "is identical to",
    "∴": "therefore",
    "½": "half",
    "¬": "not",
    "∧": "and",
    "∨": "or",
    "∝": "is proportional to",
    "€": "euro",
    "£": "pound",
    "¥": "yen",
    "$": "dollar",
}
GREEK = dict(
    zip(
        "αβγδεζηθικλμνξοπρστυφχψω",
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau "
        "upsilon phi chi "
        "psi omega".split(),
        strict=True,
    )
)
SILENT = frozenset("/•◦▪‣†‡←↑↓↵¨´`¯¸ˆ˜|\\^_~*#<>{}[]·¦¬⟨⟩†‡※❝❞⁂☐☑☒✓✔✗✘")
LETTERS = {
    "ø": "o",
    "Ø": "O",
    "ł": "l",
    "Ł": "L",
    "đ": "d",
    "Đ": "D",
    "ß": "ss",
    "ẞ": "SS",
    "æ": "ae",
    "Æ": "Ae",
    "œ": "oe",
    "Œ": "Oe",
    "ð": "d",
    "Ð": "D",
    "þ": "th",
    "Þ": "Th",
    "ı": "i",
    "ə": "e",
    "ŋ": "ng",
    "ħ": "h",
}
LESS = re.compile(r"(?<=[\w)])\s?<\s?(?=[\w(-])|(?:^|(?<=\s))<\s?(?=[a-z])")
MORE = re.compile(r"(?<=[\w)])\s?>\s?(?=[\w(-])|(?:^|(?<=\s))>\s?(?=[a-z])")
COMPARED = (
    (re.compile(r"§§\s?"), " sections "),
    (re.compile(r"\s?\|\|\s?"), " or "),
    (re.compile(r"\s?(?:<=>|<->)\s?"), " to and from "),
    (re.compile(r"\s?(?:->|-->|=>|==>)\s?"), " to "),
    (re.compile(r"\s?<=\s?"), " is less than or equal to "),
    (re.compile(r"\s?>=\s?"), " is greater than or equal to "),
    (re.compile(r"\s?!=\s?"), " is not equal to "),
    (re.compile(r"\s?={2,3}\s?"), " equals "),
    (re.compile(r"\s?<-{1,2}\s?"), " from "),
)
ABOUT = re.compile(r"(?:(?<=^)|(?<=[\s(]))[~≈∼]\s?(?=[\d$€£a-z.])")
AND = re.compile(r"\s?&+\s?")
PLUS = re.compile(r"(?<=[\w)])\s?\+\s?(?=[\w(])|(?<=\w)\+(?!\w)")
STAR = re.compile(r"(?<=\w)\s\*\s(?=\w)")
SLASH = re.compile(r"(?<=\w)\s?/\s?(?=\w)")
GREEK_LETTER = re.compile(r"[Α-Ωα-ως]+")
HASH = re.compile(r"(?<!\w)#(?!\w)")
DASH = re.compile(r"\s*(?:[—―]|(?<!-)-{2,3}(?!-)|(?<=[\s\"'])–|–(?=\s)|(?<=\w)–(?=[^\W\d])|(?<=\s)-(?=\s))+\s*")
EDGE_HYPHEN = re.compile(r"(?<!\w)[-–−]+(?=[A-Za-z])|(?<=\w)-(?!\w)|(?<!\w)[-–−](?!\w)")
RUN = re.compile(r"([.!?,;:])\1+")
MIXED_RUN = re.compile(r"[!?]{2,}")
DOTS = re.compile(r"(?:\.\s?){2,}")


def signs(text: str, left_out: Callable[[str], None]) -> str:
    """Plain words and punctuation; what cannot be said goes to `left_out`."""
    if text.isascii() and not re.search(r"[^\w\s.,;:!?\"'()]|_", text):
        return _points(text)
    for pattern, word in COMPARED:
        text = pattern.sub(word, text) if pattern.search(text) else text
    text = MORE.sub(" is greater than ", LESS.sub(" is less than ", ABOUT.sub("about ", text)))
    text = PLUS.sub(" plus ", AND.sub(" and ", STAR.sub(" times ", text)))
    text = DASH.sub(" — ", SLASH.sub(" ", HASH.sub("", text)))
    text = EDGE_HYPHEN.sub(" ", GREEK_LETTER.sub(_greek, text))
    return _points(_spoken(text, left_out))


def unaccented(word: str) -> str:
    """A word in the letters of English.

    >>> unaccented("Łódź"), unaccented("Straße"), unaccented("café")
    ('Lodz', 'Strasse', 'cafe')
    """
    plain = "".join(LETTERS.get(char, char) for char in word)
    return "".join(char for char in unicodedata.normalize("NFD", plain) if not unicodedata.combining(char))


def _greek(match: re.Match[str]) -> str:
    word = match[0]
    if len(word) > 1:
        return word
    return f" {GREEK.get(unaccented(word).lower().replace('ς', 'σ'), word)} "


def _spoken(text: str, left_out: Callable[[str], None]) -> str:
    found: list[str] = []
    gone: list[str] = []

    def close() -> None:
        if gone:
            left_out("".join(gone))
            gone.clear()

    for char in text:
        spoken_form = _sign(char)
        if spoken_form is None:
            if gone and gone[-1].isalpha() != char.isalpha():
                close()
            gone.append(char)
            continue
        found.append(" " if gone else "")
        close()
        found.append(spoken_form)
    close()
    return "".join(found)


def _sign(char: str) -> str | None:
    """In words; None where it cannot be said."""
    if char in WORDS:
        return f" {WORDS[char]} "
    kind = unicodedata.category(char)
    if char not in SILENT and (char.isascii() or char == "—"):
        return char
    if char in SILENT or char.isspace() or kind[0] in "PZ":
        return " "
    if kind[0] == "L" and unicodedata.name(char, "").startswith("LATIN"):
        return char
    value = unicodedata.numeric(char, -1.0)
    return f" {cardinal(str(int(value)))} " if kind == "No" and value >= 0 and value == int(value) else None


def _points(text: str) -> str:
    """One mark where several of a kind stand."""
    if ".." in text or ". ." in text:
        text = DOTS.sub(lambda match: "... " if match[0].endswith(" ") else "...", text)
    text = re.sub(r"([!?,;:])\1+", r"\1", text)
    return MIXED_RUN.sub(lambda match: "?" if "?" in match[0] else "!", text)
