"""Signs as the rules expect them: one kind of quote, dash and space, nothing invisible, letters composed."""

from __future__ import annotations

import re
import unicodedata

QUOTES = str.maketrans(
    {
        **dict.fromkeys("“”„‟«»〝〞＂″", '"'),
        **dict.fromkeys("‘’‚‛‹›ʼʹ＇´′", "'"),
        "\u02bb": "'",
        "\uff40": "`",
    }
)
DASHES = str.maketrans(
    {
        "\u2010": "-",
        "\u2011": "-",
        "\u2012": "–",
        "\u2015": "—",
        "\u2e3a": "—",
        "\u2e3b": "—",
        "\ufe58": "—",
        "\ufe63": "-",
        "\uff0d": "-",
        "\u2043": "-",
        "\u207b": "\u207b",
    }
)
SIGNS = str.maketrans(
    {
        "™": " ",
        "®": " ",
        "℠": " ",
        "№": "No. ",
        "⁄": "/",
        "∕": "/",
        "。": ". ",
        "、": ", ",
        "・": " ",
        "º": "°",
        "˚": "°",
        "…": "...",
        "‥": "...",
        "⋅": "·",
        "∙": "·",
    }
)
FRACTION = {char: unicodedata.normalize("NFKC", char).replace("⁄", "/") for char in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒"}
FRACTIONS = re.compile("(?:(\\d)\\s?)?([" + "".join(FRACTION) + "])")
SUPER = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
RAISED = re.compile("(?:(?<=[^\\W\\d_]{4})|(?<=[.,;:!?\"')]))[⁰¹²³⁴⁵⁶⁷⁸⁹]+|([⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)")  # of a note, a power
ISOTOPE = re.compile("(?:(?<=^)|(?<=\\s))([⁰¹²³⁴⁵⁶⁷⁸⁹]+)(?=[A-Z])")
CHARGE = re.compile("(?<=[A-Za-z₀-₉])([⁰¹²³⁴⁵⁶⁷⁸⁹]*)([⁺⁻])(?![⁰¹²³⁴⁵⁶⁷⁸⁹])")
UP_TO = re.compile(r"(?<=\d)\s?(?:…|\.{2,3})\s?(?=[-−+]?\d)")
NUMBER_SIGN = re.compile(r"\bN°\s?(?=\d)")
GONE = frozenset(("Cf", "Cc", "Cs", "Cn", "Mn", "Me"))  # invisible, no character, or what could not be composed
UNSEEN = frozenset("\u00ad\u200b\u200e\u200f\u2060\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufe0f")
BROKEN = frozenset(("Cc", "Cs", "Cn"))
PLAIN = re.compile(r"[ -~]*")


def clean(text: str) -> str:
    """NFKC with care for what it would change the meaning of (1½, m², ™); all blanks are spaces."""
    text = UP_TO.sub(" to ", text)
    if PLAIN.fullmatch(text):
        return text
    text = text.translate(QUOTES).translate(DASHES).translate(SIGNS)
    text = FRACTIONS.sub(_fraction, text)
    text = ISOTOPE.sub(lambda match: match[1].translate(SUPER) + " ", text)
    text = CHARGE.sub(lambda match: f" {match[1].translate(SUPER)} {'plus' if match[2] == '⁺' else 'minus'} ", text)
    text = RAISED.sub(lambda match: "^" + match[1].translate(SUPER) if match[1] else "", text)
    text = unicodedata.normalize("NFKC", text)
    text = "".join(map(_sign, text))
    return NUMBER_SIGN.sub("No. ", text)


def clean_lightly(text: str) -> str:
    """For languages other than English: what is no sign of any script goes; marks that belong to letters stay."""
    if PLAIN.fullmatch(text):
        return text
    kept = (char for char in unicodedata.normalize("NFC", text) if char not in UNSEEN)
    return "".join(" " if char.isspace() else char for char in kept if unicodedata.category(char) not in BROKEN)


def _fraction(match: re.Match[str]) -> str:
    return f"{match[1]} {FRACTION[match[2]]}" if match[1] else FRACTION[match[2]]


def _sign(char: str) -> str:
    if char.isascii() and char >= " ":
        return char
    if char.isspace():
        return " "
    kind = unicodedata.category(char)
    if kind in GONE:
        return ""
    if kind == "Nd":
        return str(unicodedata.decimal(char))
    return char
