"""Times of day and dates: with am and pm, of 24 hours, ranges of them; ISO, with points, with slashes, with names."""

from __future__ import annotations

import re

from audio_pipeline.models.speech.text.quantity import UNIT
from audio_pipeline.models.speech.text.words import cardinal, digits, ordinal, year

MONTHS = ("January February March April May June July August September October November December").split()
BY_NAME = {name.lower(): name for name in MONTHS} | {name[:3].lower(): name for name in MONTHS} | {"sept": "September"}
NAMES = "|".join([*MONTHS, *(f"{name[:3]}" for name in MONTHS), "Sept"])
DAYS = {
    "mon": "Monday",
    "tue": "Tuesday",
    "tues": "Tuesday",
    "wed": "Wednesday",
    "thu": "Thursday",
    "thur": "Thursday",
    "thurs": "Thursday",
    "fri": "Friday",
    "sat": "Saturday",
    "sun": "Sunday",
}
HALF = r"(?P<half>[AaPp])\.?\s?[Mm]\b(?P<stop>\.?)"
TIME = re.compile(
    rf"(?<![\w.,:])(?P<h>\d{{1,2}})(?::(?P<m>\d\d))(?::(?P<s>\d\d)(?:\.\d+)?)?(?:\s?{HALF})?(?:\s?h\b)?"
    rf"(?![\w:]|\.\d)"
)
POINTED = re.compile(rf"(?<![\w.,:])(?P<h>\d{{1,2}})\.(?P<m>[0-5]\d)\s?{HALF}(?!\w)")
BARE = re.compile(rf"(?<![\w.,:])(?P<h>\d{{1,2}})\s?{HALF}(?!\w)")
OCLOCK = re.compile(r"(?<![\w.,:])(\d{1,2})\s(?=o'clock)")
HALF_TO = re.compile(r"(?<![A-Za-z])([AaPp]\.?\s?[Mm]\b\.?)\s?[-–—]\s?(?=\d)")
TO = re.compile(r"(?<=[a-zM])\s?[-–—]\s?(?=\d{1,2}(?::\d\d|\.[0-5]\d\s?[AaPp]\.?[Mm]|\s?[AaPp]\.?[Mm]\b))")
FIRST = re.compile(r"(?<![\w.,:])(\d{1,2})\s?(?:-|–|—|to)\s?(?=\d{1,2}(?:[:.]\d\d)?\s?[AaPp]\.?[Mm]\b)")
TO_TIME = re.compile(r"(?<![\w.,:])(\d{1,2}(?::\d\d){1,2})\s?[-–—]\s?(?=\d{1,2}:\d\d)")
ISO = re.compile(
    r"(?<![\w-])(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.\d+)?(?P<zone>Z|[+-]\d\d:?\d\d)?)?"
    r"(?![\w-])"
)
MONTH_OF = re.compile(r"(?<![\w/])(0?[1-9]|1[0-2])/((?:19|20)\d\d)(?![\w/])")
ISO_MONTH = re.compile(r"(?<![\w-])((?:19|20)\d\d)-(0[1-9]|1[0-2])(?![\w-])")
POINTS = re.compile(r"(?<![\w.])(?:(\d{1,2})\.\s?(\d{1,2})\.\s?((?:1\d|20)\d\d)|(\d\d)\.(\d\d)\.(\d\d))(?!\w|\.\d)")
SLASHES = re.compile(r"(?<![\w/])(\d{1,4})([/-])(\d{1,2})\2(\d{4}|\d\d)(?![\w/])")
MONTH_DAY = re.compile(
    rf"\b(?P<month>{NAMES})\b\.?\s(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:\s?[-–]\s?(?P<to>\d{{1,2}})(?:st|nd|rd|"
    rf"th)?)?(?![\w:%]|[.,]\d)(?P<year>,?\s\d{{4}}(?![\w]))?"
)
DAY_MONTH = re.compile(
    rf"(?<![\w.,:])(?P<the>the\s)?(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.)?(?:\s?[-–]\s?(?P<to>\d{{1,2}})(?:st|nd|"
    rf"rd|th|\.)?)?\s(?:of\s)?(?P<month>{NAMES})\b(?P<dot>\.?)(?P<year>,?\s\d{{4}}(?!\w))?"
)
MONTH_YEAR = re.compile(rf"\b({NAMES})\b\.?(,?\s(?:1[1-9]|20)\d\d)(?!\w)")
MONTHS_TO = re.compile(rf"\b({NAMES})\b\.?\s?[-–—]\s?(?=(?:\d{{1,2}}\s)?(?:{NAMES})\b)")
DOTTED_DAY = re.compile(
    rf"\b(Mon|Tues?|Wed|Thu|Thurs?|Fri|Sat|Sun)(?:\.,?|,)?(?=\s(?:\d|(?:{NAMES})\b))|\b(Mon|Tues?|Wed|Thurs?|"
    rf"Fri|Sat|Sun)\.(?=,|\s[a-z])"
)
DAY_RANGE = re.compile(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\.?\s?[-–—]\s?(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b\.?")
DOTTED_MONTH = re.compile(r"\b(Jan|Feb|Apr|Aug|Sept?|Oct|Nov|Dec)\.(?=\s|,|$)")
ERA = re.compile(r"(?<=\d)\s?(BCE|BC|CE|AD)\b|\b(AD|BC)\s(?=\d)")
YEARS = re.compile(r"(?<![\w.,$€£-])((?:1[1-9]|20)\d\d)\s?[-–—/]\s?((?:1[1-9]|20)\d\d|\d\d)(?![\w-]|[.,]\d)")
LETTERS = {"BCE": "B C E", "BC": "B C", "CE": "C E", "AD": "A D"}


def dates(text: str) -> str:
    """Dates in words; what cannot be one is left."""
    text = MONTHS_TO.sub(lambda match: f"{BY_NAME[match[1].lower()]} to ", ISO.sub(_iso, text))
    text = POINTS.sub(_points, text)
    text = SLASHES.sub(_slashes, text)
    text = MONTH_OF.sub(lambda match: f"{MONTHS[int(match[1]) - 1]} {year(match[2])}", text)
    text = ISO_MONTH.sub(lambda match: f"{MONTHS[int(match[2]) - 1]} {year(match[1])}", text)
    text = DAY_RANGE.sub(lambda match: f"{DAYS[match[1].lower()]} to {DAYS[match[2].lower()]}", text)
    text = DOTTED_DAY.sub(_day_name, text)
    text = DAY_MONTH.sub(_day_month, MONTH_DAY.sub(_month_day, text))
    text = MONTH_YEAR.sub(lambda match: f"{BY_NAME[match[1].lower()]}{_year(match[2])}", text)
    text = DOTTED_MONTH.sub(lambda match: BY_NAME[match[1].lower()], text)
    text = YEARS.sub(_years, text)
    return ERA.sub(_era, text)


def times(text: str) -> str:
    """Times of day in words."""
    text = HALF_TO.sub(r"\1 to ", text)
    text = FIRST.sub(lambda match: f"{cardinal(match[1])} to ", text)
    text = TO_TIME.sub(r"\1 to ", text)
    for pattern in (TIME, POINTED, BARE):
        text = TO.sub(" to ", pattern.sub(_time, text))
    return OCLOCK.sub(lambda match: f"{cardinal(match[1])} ", text)


def _time(match: re.Match[str]) -> str:
    found = match.groupdict()
    hour, minute, second = (int(found.get(key) or 0) for key in "hms")
    half = (found["half"] or "").upper()
    if hour > 24 or minute > 59 or second > 59 or (half and not 1 <= hour <= 12):
        return match[0] if not half else f"{match[0][: match.start('half') - match.start()].rstrip()} {half}M"
    words = [cardinal(str(hour)), _minutes(minute, bare=bool(half or second))]
    if second:
        words.append(f"and {cardinal(str(second))} second{'' if second == 1 else 's'}")
    if half:
        words.append(f"{half}M")
    ends = found["stop"] and re.match(r"\s*$|\s+[A-Z]", match.string[match.end() :])
    return " ".join(filter(None, words)) + ("." if ends else "")


def _minutes(minute: int, *, bare: bool) -> str:
    if minute == 0:
        return "" if bare else "o'clock"
    return f"oh {cardinal(str(minute))}" if minute < 10 else cardinal(str(minute))


def _iso(match: re.Match[str]) -> str:
    spoken_form = _date(match[1], match[2], match[3], match[0])
    if match[4] is None or spoken_form == match[0]:
        return spoken_form
    return f"{spoken_form} at {match[4]}" + (" U T C" if match["zone"] == "Z" else "")


def _points(match: re.Match[str]) -> str:
    day, month, year_ = filter(None, match.groups())
    return _date(year_, month, day, match[0])


def _slashes(match: re.Match[str]) -> str:
    first, second, last = match[1], match[3], match[4]
    if len(first) == 4:
        return _date(first, second, last, match[0])
    if len(first) > 2 or (match[2] == "-" and len(last) != 4):
        return match[0]
    month, day = (first, second) if int(first) <= 12 else (second, first)
    return _date(last, month, day, match[0])


def _date(year_: str, month: str, day: str, otherwise: str) -> str:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return otherwise
    full = year_ if len(year_) == 4 else f"{'19' if int(year_) > 50 else '20'}{year_}"
    return f"{MONTHS[int(month) - 1]} {ordinal(str(int(day)))}{_year(' ' + full)}"


def _year(text: str) -> str:
    comma, number = ("," if text.startswith(",") else ""), text.lstrip(", ")
    spoken_form = year(number) if "1100" <= number <= "2099" else cardinal(str(int(number)))
    return f"{comma} {spoken_form}"


def _era(match: re.Match[str]) -> str:
    return f"{LETTERS[match[2]]} " if match[2] else f"{UNIT}{LETTERS[match[1]]}"


def _day_name(match: re.Match[str]) -> str:
    return DAYS[(match[1] or match[2]).lower()] + ("," if match[0].endswith(",") else "")


def _month_day(match: re.Match[str]) -> str:
    return _named(match, f"{BY_NAME[match['month'].lower()]} {{}}")


def _day_month(match: re.Match[str]) -> str:
    return _named(match, f"the {{}} of {BY_NAME[match['month'].lower()]}")


def _named(match: re.Match[str], form: str) -> str:
    days = [str(int(day)) for day in (match["day"], match["to"]) if day]
    if not all(1 <= int(day) <= 31 for day in days):
        return match[0]
    stop = "." if match.groupdict().get("dot") and not match["year"] and not match.string[match.end() :].strip() else ""
    return form.format(" to ".join(map(ordinal, days))) + (_year(match["year"]) if match["year"] else "") + stop


def _years(match: re.Match[str]) -> str:
    first, second = match[1], match[2]
    if len(second) == 4:
        return f"{year(first)} to {year(second)}" if first <= second else match[0]
    if int(second) <= int(first[2:]):
        return match[0]
    return f"{year(first)} to {cardinal(second) if second[0] != '0' else f'oh {digits(second[1])}'}"
