"""A written number with either comma, as a value and in words."""

from __future__ import annotations

import re
from typing import NamedTuple

from audio_pipeline.models.speech.text.words import cardinal, digits

NUMBER = r"(?:\d+(?:[,.']\d+| \d{3}(?!\d))*|\.\d+)"  # what may be one number; `parsed` says whether it is
THOUSANDS = re.compile(r"\d{1,3}(?:([ ,.'])\d{3})(?:\1\d{3})*")
INDIAN = re.compile(r"\d{1,2}(?:,\d{2})+,\d{3}")
MIXED = re.compile(r"(\d{1,3}(?:([ ,.'])\d{3})+)([.,])(\d+)")
DECIMAL = re.compile(r"(\d*)[.,](\d+)")


UNIT = "\ufdd0"  # between a number and its unit: it is no year


class Quantity(NamedTuple):
    """Digits before the point and behind it; `fraction` is empty for a whole number."""

    whole: str
    fraction: str

    @property
    def is_one(self) -> bool:
        """Whether a unit behind it is in the singular."""
        return self.whole == "1" and not self.fraction

    def spell_out(self) -> str:
        """In words."""
        whole = cardinal(self.whole) if self.whole else ""
        return " ".join(filter(None, (whole, f"point {digits(self.fraction)}" if self.fraction else "")))


def parsed(text: str, *, money: bool = False) -> Quantity | None:
    """The number, where it is one: 1,234.5 and 1.234,5 and 1 234,5; of money, 1.234 is more than a thousand.

    >>> parsed("1,234.5"), parsed("1.234,5"), parsed("29,99"), parsed("1 000"), parsed("1.234"), parsed("1,2,3")
    (Quantity(whole='1234', fraction='5'), Quantity(whole='1234', fraction='5'), Quantity(whole='29', fraction='99'),
    Quantity(whole='1000', fraction=''), Quantity(whole='1', fraction='234'), None)
    """
    if text.isdigit():
        return Quantity(text, "")
    grouped = THOUSANDS.fullmatch(text)
    one_point = grouped is not None and grouped[1] == "." and text.count(".") == 1 and not money
    if (grouped and not one_point and text[0] != "0") or INDIAN.fullmatch(text):
        return Quantity(re.sub(r"\D", "", text), "")
    mixed = MIXED.fullmatch(text)
    if mixed and mixed[2] != mixed[3]:
        return Quantity(re.sub(r"\D", "", mixed[1]), mixed[4])
    decimal = DECIMAL.fullmatch(text)
    return Quantity(decimal[1], decimal[2]) if decimal else None


def spell_out(text: str) -> str:
    """A number in words; what is several of them, one after the other.

    >>> spell_out("3,5"), spell_out("1.2.3"), spell_out("1,2,3")
    ('three point five', 'one point two point three', 'one, two, three')
    """
    found = parsed(text)
    if found is not None:
        return found.spell_out()
    if re.fullmatch(r"\d+(\.\d+)+", text):
        return " point ".join(map(cardinal, text.split(".")))
    return re.sub(r"\d+", lambda match: cardinal(match[0]), re.sub(r"([,.'])", r"\1 ", text).replace("' ", " "))
