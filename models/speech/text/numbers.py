"""Numbers between words: signs, ordinals, decades, fractions, percentages, ranges, ratios, sizes, codes, years."""

from __future__ import annotations

import re

from audio_pipeline.models.speech.text.quantity import NUMBER, UNIT, parsed, spell_out
from audio_pipeline.models.speech.text.words import cardinal, digits, ordinal, plural, year

N = NUMBER
START = r"(?<![\w.,'])"  # no number, word or decimal goes on before it
END = r"(?![\w])"
SIGN = r"(?P<sign>[-−–+±])"
WORDS = {"-": "minus", "−": "minus", "–": "minus", "+": "plus", "±": "plus or minus"}
DENOMINATORS = {2: "half", 4: "quarter"}
FULL = (5, 10, 100)  # 8/10 is so many out of so many
BIG = {
    "k": "thousand",
    "K": "thousand",
    "M": "million",
    "mn": "million",
    "mln": "million",
    "mio": "million",
    "bn": "billion",
    "B": "billion",
    "tn": "trillion",
    "trn": "trillion",
}
CODES = (
    "pin|code|otp|passcode|password|passwort|zip|postcode|extension|ext|account|serial|iban|tan|cvv|cvc|ssn|isbn|issn|dial|"
    "call|text|id"
)
CODE = re.compile(rf"(?i)\b({CODES})((?:\s(?:code|number|no\.|is))?[:#]?\s)(\d+(?:[ -]\d+)*){END}")
LONG_GROUPED = re.compile(r"(?<![\w.,-])\d+(?:-\d+){3,}(?![\w-])")
GROUPED = re.compile(r"(?<![\w.,-])\d+(?:-\d+){2}(?![\w-])")  # no date, or it would be words by now
SLASHED = re.compile(r"(?<![\w.,/])\d+(?:/\d+){2,}(?![\w/])")
CARD = re.compile(rf"{START}\d{{4}}(?:[ -]\d{{4}}){{2,4}}{END}")
PHONE = re.compile(
    rf"(?<![\w.,])(?<!\d\s)(?:\+\d{{1,3}}(?:[ ./-]?\(?\d{{1,5}}\)?){{1,6}}|\(\d{{2,5}}\)[ -]?\d{{3,4}}"
    rf"(?:[ -]\d{{3,4}})?"
    rf"|(?:\d[ -])?\d{{3}}-\d{{3}}-\d{{4}}|\d{{3}}-\d{{4}}|\d{{3}}\.\d{{3}}\.\d{{4}}|\d{{3}} \d{{3}} \d{{4}}|"
    rf"0\d{{2,4}}[ /-]\d{{3,}}"
    rf"(?:[ -]\d{{2,}})*"
    rf"|0\d(?: \d\d){{4}}){END}"
)
DECADE = re.compile(rf"(?<![\w.,])'?(\d{{4}}|(?<=')\d0|(?<!')[2-9]0)(?:'?s){END}")
DECADE_BEFORE = re.compile(r"(?i)\b(in|the|of|early|mid|late|his|her|my|their|your|our|since|and|to|[-–])[ -]?'?$")
ORDINAL = re.compile(rf"{START}(\d[\d,]*)\s?(st|nd|rd|th)(s?){END}", re.I)
ORDINALS = re.compile(r"(?<=\d)(st|nd|rd|th)\s?[-–—]\s?(?=\d+(?:st|nd|rd|th)\b)")
SCIENTIFIC = re.compile(r"(?<![\w.,])(\d+(?:\.\d+)?)[eE]([-+−]?)(\d{1,3})(?![\w.])")
STANDARD = re.compile(r"(?<=\b[A-Z]{2}\s)([2-9]\d{3})(?![\w.,%])|(?<=\b[A-Z]{3}\s)([2-9]\d{3})(?![\w.,%])")
MIXED = re.compile(rf"{START}(\d+)[\s-](\d{{1,2}})/(\d{{1,2}})(?![\w/])")
OVER = re.compile(rf"{START}(\d{{1,4}})/(\d{{1,4}})(?![\w/])")
PERCENT = re.compile(rf"(?P<n>{N})\s?(?P<mark>%|‰)(?:\s?[-–—]\s?(?P<m>{N})\s?(?P=mark))?")
RANGE = re.compile(rf"{START}(?P<a>{N})(?P<dash>\s?[-–—−~]\s?)(?P<b>{N})(?=$|[^\w.]|\.(?:\s|$)|[kKMB]\b|bn\b|x\b)")
RATIO = re.compile(rf"{START}(\d+(?:\.\d+)?)\s?:\s?(\d+(?:\.\d+)?)(?:\s?:\s?(\d+(?:\.\d+)?))?{END}")
TIMES = re.compile(rf"{START}({N})(\s?[x×]\s?|\s\*\s|\*)(?={N})")
SIZES = re.compile(r"(?<=[a-z])\s[x×]\s(?=\d)")
FOLD = re.compile(rf"(?<![\w.,])({N})\s?[x×]{END}")
SCALED = re.compile(
    rf"(?<![\w,])(?<!\w-)(?P<n>{N})(?P<space>\s?)(?P<big>k|K|M|mn|mln|mio|bn|B|tn|trn)(?P<more>\+?){END}"
)
SIGNED = re.compile(rf"(?:(?<=^)|(?<=[\s(\[=\"'/]))(?<!\d\s)(?:{SIGN})\s?(?=\.?\d)")
SUM = re.compile(r"(?<=\d)\s?(?P<sign>[-−+±÷/])\s(?=[\d-])|(?<=\d)(?P<tight>[+±÷−])(?=\d)")
SUMS = WORDS | {"÷": "divided by", "/": "divided by"}
POWER = re.compile(r"\^\s?([-+]?)\{?(\d+)\}?")
YEAR = re.compile(rf"(?<![\w.,'])(10[1-9]\d|1[1-9]\d\d|20\d\d)(?![\w{UNIT}]|[.,]\d)")
SHORT_YEAR = re.compile(r"(?<!\w)'(\d\d)\b(?!')")
PLUS = re.compile(r"(?<=\d)\+(?![\d+])")
ANY = re.compile(rf"(?<![\d])({N})")
LETTER_DIGIT = re.compile(r"(?<=[A-Za-z])[-]?(\d+)(?=[A-Za-z]|[-]|\b|_)|(?<=[A-Za-z])-?(\d+)")
LETTER_POINT = re.compile(r"(?<=[A-Za-z])\.(?=\d)")
DIGIT_LETTER = re.compile(r"(?<=\d)-?(?=[A-Za-z])")


def codes(text: str) -> str:
    """What is no quantity, digit by digit: telephone numbers, cards, PINs."""
    text = CODE.sub(lambda match: match[1] + match[2] + _in_groups(match[3]), text)
    text = CARD.sub(lambda match: _in_groups(match[0]), text)
    text = LONG_GROUPED.sub(lambda match: _in_groups(match[0]), text)
    return PHONE.sub(lambda match: ("plus " if match[0][0] == "+" else "") + _in_groups(match[0]), text)


def decades(text: str) -> str:
    """The 1990s, the '60s, the eighties of somebody's life; before units, since 5s are seconds."""
    return DECADE.sub(_decade, text)


def numbers(text: str) -> str:
    """Every number that is left, in words."""
    text = GROUPED.sub(lambda match: _in_groups(match[0]), text)
    text = SLASHED.sub(lambda match: match[0].replace("/", " slash "), text)
    text = SCIENTIFIC.sub(_scientific, ORDINALS.sub(r"\1 to ", text))
    text = STANDARD.sub(lambda match: year(match[1] or match[2]), text)
    text = ORDINAL.sub(lambda match: _ordinal(match[1]) + ("s" if match[3] else ""), text)
    text = SCALED.sub(_scaled, PERCENT.sub(_percent, text))
    text = MIXED.sub(lambda match: f"{cardinal(match[1])} and {_fraction(match[2], match[3], one='a')}", text)
    text = OVER.sub(_over, text)
    text = SIGNED.sub(lambda match: f"{WORDS[match['sign']]} ", text)
    text = SIZES.sub(" by ", text)
    for _ in range(2):  # two of three share a number
        text = TIMES.sub(lambda match: f"{match[1]} {_by(match)} ", text)
    text = RANGE.sub(_range, FOLD.sub(lambda match: f"{match[1]} times", text))
    text = RATIO.sub(lambda match: " to ".join(filter(None, match.groups())), text)
    text = SUM.sub(lambda match: f" {SUMS[match['sign'] or match['tight']]} ", text)
    text = POWER.sub(_power, PLUS.sub(" plus ", text))
    text = SHORT_YEAR.sub(lambda match: f"oh {digits(match[1][1])}" if match[1][0] == "0" else cardinal(match[1]), text)
    text = YEAR.sub(lambda match: year(match[1]), _apart(text))
    return ANY.sub(lambda match: spell_out(match[0]), text).replace(UNIT, " ")


def is_rising(low: str, high: str) -> bool:
    """Whether the second of two written numbers is the larger one."""
    values = [parsed(text) for text in (low, high)]
    pairs = [(len(value.whole.lstrip("0")), value.whole.lstrip("0"), value.fraction) for value in values if value]
    return len(pairs) == 2 and pairs[0] <= pairs[1]


def _in_groups(text: str) -> str:
    return ", ".join(digits(group) for group in re.findall(r"\d+", text))


def _decade(match: re.Match[str]) -> str:
    number = match[1]
    if len(number) == 4:
        return _plural_of(year(number) if number[2:] != "00" or number[1] != "0" else cardinal(number))
    if "'" in match[0] or DECADE_BEFORE.search(match.string[: match.start()]):
        return _plural_of(cardinal(number))
    return match[0]


def _plural_of(spoken_form: str) -> str:
    head, space, last = spoken_form.rpartition(" ")
    return head + space + plural(last)


def _ordinal(number: str) -> str:
    return ordinal(number.replace(",", ""))


def _fraction(top: str, bottom: str, one: str = "one") -> str:
    below = int(bottom)
    unit = DENOMINATORS.get(below) or ordinal(str(below))
    count = one if int(top) == 1 else cardinal(str(int(top)))
    return f"{count} {unit if int(top) == 1 else plural(unit)}"


def _over(match: re.Match[str]) -> str:
    top, bottom = match[1], match[2]
    if re.match(r"\s?=", match.string[match.end() :]):
        return f"{cardinal(top)} divided by {cardinal(bottom)}"
    if match[0] in ("24/7", "9/11", "50/50") or bottom[0] == "0":
        return f"{cardinal(top)} {cardinal(bottom)}"
    if top[0] == "0":
        return f"{cardinal(top)} out of {cardinal(bottom)}"
    if int(bottom) in FULL[1:] or top == bottom:
        return f"{cardinal(top)} out of {cardinal(bottom)}"
    if int(top) < int(bottom) <= 100 or (int(bottom) <= 16 and bottom != "1"):
        return _fraction(top, bottom)
    return f"{cardinal(top)} over {cardinal(bottom)}"


def _scientific(match: re.Match[str]) -> str:
    sign = {"-": "minus ", "−": "minus "}.get(match[2], "")
    return f"{spell_out(match[1])} times ten to the power of {sign}{cardinal(match[3].lstrip('0') or '0')}"


def _by(match: re.Match[str]) -> str:
    """Of sizes by, of factors times."""
    if match.string.startswith("10^", match.end()):
        return "times"
    return "by" if match[2].strip() == match[2] and (match[2] == "x" or len(match[1]) > 2) else "times"


def _percent(match: re.Match[str]) -> str:
    unit = "percent" if match["mark"] == "%" else "per thousand"
    if match["m"]:
        return f"{match['n']} to {match['m']} {unit}"
    return f"{match['n']} {unit}"


def _range(match: re.Match[str]) -> str:
    low, high, dash = match["a"], match["b"], match["dash"]
    before, after = match.string[: match.start()].rstrip(), match.string[match.end() :].lstrip()
    if low == high:
        return f"{low} {high}"
    if "−" in dash or after.startswith("=") or before.endswith("="):
        return f"{low} minus {high}"
    if dash.strip() == "-" and " " in dash and not is_rising(low, high):
        return f"{low} minus {high}"
    return f"{low} to {high}"


def _scaled(match: re.Match[str]) -> str:
    if match["space"] and match["big"] in ("k", "K", "B"):
        return match[0]
    if match["big"] == "K" and match["n"] in ("2", "4", "5", "8"):
        return f"{match['n']} K"  # of screens and races
    return f"{match['n']} {BIG[match['big']]}{' plus' if match['more'] else ''}"


def _power(match: re.Match[str]) -> str:
    if not match[1] and match[2] in "23":
        return " squared" if match[2] == "2" else " cubed"
    sign = {"-": "minus ", "+": "plus "}.get(match[1], "")
    return f" to the power of {sign}{cardinal(match[2])}"


def _apart(text: str) -> str:
    """Letters and digits of one word, each for itself: MP3, COVID-19, A380, H.264."""
    text = LETTER_POINT.sub(" ", text)
    text = LETTER_DIGIT.sub(lambda match: f" {_digit_group(match[1] or match[2])} ", text)
    return DIGIT_LETTER.sub(" ", text)


def _digit_group(number: str) -> str:
    if number[0] == "0" or len(number) > 4:
        return digits(number)
    if len(number) == 4:
        return year(number) if number[2:] != "00" or number[1] != "0" else cardinal(number)
    if len(number) == 3 and not number.endswith("00"):
        return f"{cardinal(number[0])} {'oh ' if number[1] == '0' else ''}{cardinal(number[1:].lstrip('0'))}"
    return cardinal(number)
