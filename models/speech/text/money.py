"""Amounts of money, with the sign before or behind, either comma, k, M and bn."""

from __future__ import annotations

import re

from audio_pipeline.models.speech.text.numbers import BIG
from audio_pipeline.models.speech.text.quantity import NUMBER, Quantity, parsed
from audio_pipeline.models.speech.text.words import cardinal

# unit, units, hundredth, hundredths
DOLLAR, EURO, POUND = (
    ("dollar", "dollars", "cent", "cents"),
    ("euro", "euros", "cent", "cents"),
    ("pound", "pounds", "penny", "pence"),
)
YEN, RUPEE, WON = ("yen", "yen", "", ""), ("rupee", "rupees", "paisa", "paise"), ("won", "won", "", "")
FRANC = ("franc", "francs", "centime", "centimes")


def _of(country: str, name: tuple[str, str, str, str]) -> tuple[str, str, str, str]:
    return (f"{country} {name[0]}", f"{country} {name[1]}", name[2], name[3])


SIGNS = {
    "$": DOLLAR,
    "€": EURO,
    "£": POUND,
    "¥": YEN,
    "₹": RUPEE,
    "₩": WON,
    "₽": ("ruble", "rubles", "kopek", "kopeks"),
    "₿": ("bitcoin", "bitcoins", "", ""),
    "₺": ("lira", "lira", "", ""),
    "₴": ("hryvnia", "hryvnias", "", ""),
    "₫": ("dong", "dong", "", ""),
    "₪": ("shekel", "shekels", "", ""),
    "฿": ("baht", "baht", "", ""),
    "₱": ("peso", "pesos", "", ""),
    "₦": ("naira", "naira", "", ""),
    "¢": ("cent", "cents", "", ""),
    "US$": _of("U S", DOLLAR),
    "A$": _of("Australian", DOLLAR),
    "AU$": _of("Australian", DOLLAR),
    "C$": _of("Canadian", DOLLAR),
    "CA$": _of("Canadian", DOLLAR),
    "NZ$": _of("New Zealand", DOLLAR),
    "HK$": _of("Hong Kong", DOLLAR),
    "S$": _of("Singapore", DOLLAR),
    "R$": ("real", "reais", "centavo", "centavos"),
}
CODES = {
    "USD": _of("U S", DOLLAR),
    "EUR": EURO,
    "GBP": POUND,
    "JPY": YEN,
    "CNY": ("yuan", "yuan", "", ""),
    "INR": RUPEE,
    "KRW": WON,
    "CHF": _of("Swiss", FRANC),
    "CAD": _of("Canadian", DOLLAR),
    "AUD": _of("Australian", DOLLAR),
    "NZD": _of("New Zealand", DOLLAR),
    "HKD": _of("Hong Kong", DOLLAR),
    "SGD": _of("Singapore", DOLLAR),
    "SEK": ("Swedish krona", "Swedish kronor", "", ""),
    "NOK": ("Norwegian krone", "Norwegian kroner", "", ""),
    "DKK": ("Danish krone", "Danish kroner", "", ""),
    "PLN": ("zloty", "zloty", "", ""),
    "BTC": SIGNS["₿"],
    "CZK": ("Czech crown", "Czech crowns", "", ""),
    "HUF": ("forint", "forints", "", ""),
    "RUB": SIGNS["₽"],
    "TRY": SIGNS["₺"],
    "MXN": ("Mexican peso", "Mexican pesos", "", ""),
    "ZAR": ("rand", "rand", "", ""),
    "BRL": SIGNS["R$"],
    "Rs": RUPEE,
    "Rs.": RUPEE,
    "zł": ("zloty", "zloty", "", ""),
    "kr": ("crown", "crowns", "", ""),
    "kr.": ("crown", "crowns", "", ""),
    "Kč": ("Czech crown", "Czech crowns", "", ""),
}
ALL = SIGNS | CODES
SMALL = {"¢": SIGNS["¢"], "p": ("penny", "pence", "", ""), "ct": SIGNS["¢"], "cts": SIGNS["¢"]}
MAGNITUDE = (
    r"(?:\s?(?P<big>thousand|million|billion|trillion|hundred|k|K|mn|mln|mio|Mio\.?|Mrd\.?|m|M|bn|b|B|tn|trn|T)"
    r"(?!\w))"
)
LARGE = BIG | {"m": "million", "b": "billion", "T": "trillion", "Mio": "million", "Mrd": "billion"}
N = rf"(?:{NUMBER})"
TO = r"\s?[-–—]\s?|\sto\s"


def _alternatives(names: dict[str, tuple[str, str, str, str]]) -> str:
    return "|".join(map(re.escape, sorted(names, key=len, reverse=True)))


SIGN = r"(?:(?:(?<=^)|(?<=[\s(\[\"'/=]))(?P<sign>[-−–+]))?"
BEFORE = re.compile(
    rf"{SIGN}(?<![\w.])(?P<name>{_alternatives(ALL)})\s?(?P<inner>[-−]?)(?P<n>{N})(?:(?P<to>{TO})(?P=name)?(?P<m>{N}))?"
    rf"{MAGNITUDE}?(?P<bare>\s(?=(?:bill|note|coin|banknote|stamp)s?\b))?"
)
BEHIND = re.compile(
    rf"{SIGN}(?<![\w.,])(?P<n>{N})(?:(?P<to>{TO})(?P<m>{N}))?{MAGNITUDE}?\s?(?P<name>{_alternatives(ALL)})(?![\w])"
)
CENTS = re.compile(r"(?<![\w.,])(?P<n>\d+)(?P<name>¢|\s¢|p|ct|cts)(?![\w.:])")
_NAMES = "|".join(sorted({name for names in ALL.values() for name in names if name}, key=len, reverse=True))
RATE = re.compile(
    rf"(%|\b(?:{_NAMES}))\s?/\s?(hour|hr|h|day|night|week|month|mo|year|yr|person|kg|g|lb|l|L|m\^2|unit|user|head)\b"
)
RATES = {
    "hr": "hour",
    "h": "hour",
    "mo": "month",
    "yr": "year",
    "kg": "kilogram",
    "g": "gram",
    "lb": "pound",
    "l": "liter",
    "L": "liter",
    "m^2": "square meter",
}
LONE = re.compile(r"(?<![\w])([$€£¥₹₩₽₿])(?![\w\d])")
MINUS = {"-": "minus ", "−": "minus ", "–": "minus ", "+": "plus ", "": "", None: ""}


def money(text: str) -> str:
    """Amounts in words."""
    text = BEHIND.sub(_amount, BEFORE.sub(_amount, text))
    text = CENTS.sub(_cents, text)
    text = LONE.sub(lambda match: SIGNS[match[1]][0], text)
    return RATE.sub(lambda match: f"{match[1]} per {RATES.get(match[2], match[2])}", text) if "/" in text else text


def _amount(match: re.Match[str]) -> str:
    found = match.groupdict()
    names, big = ALL[match["name"]], match["big"]
    last = parsed(match["m"] or match["n"], money=True)
    first = parsed(match["n"], money=True)
    if last is None or first is None:
        return match[0]
    sign = MINUS[match["sign"]] + MINUS[found.get("inner")]
    start = f"{first.spell_out()} to " if match["m"] else ""
    if found.get("bare"):
        return f"{sign}{start}{last.spell_out()} {names[0]} "
    scale = LARGE.get(big.rstrip("."), big) if big else ""
    return sign + start + _of_quantity(last, names, scale, plain=bool(match["m"]))


def _of_quantity(value: Quantity, names: tuple[str, str, str, str], big: str, *, plain: bool) -> str:
    if big:
        return f"{value.spell_out()} {big} {names[1]}"
    if not names[2] or len(value.fraction) != 2 or plain:
        return f"{value.spell_out()} {names[0] if value.is_one else names[1]}"
    whole = f"{cardinal(value.whole)} {names[0] if value.whole == '1' else names[1]}" if value.whole else ""
    small = value.fraction.lstrip("0")
    if not small:
        return whole or f"zero {names[1]}"
    part = f"{cardinal(small)} {names[2] if small == '1' else names[3]}"
    return part if not whole or value.whole.strip("0") == "" else f"{whole} and {part}"


def _cents(match: re.Match[str]) -> str:
    names = SMALL[match["name"].strip()]
    return f"{cardinal(match['n'])} {names[0] if match['n'] == '1' else names[1]}"
