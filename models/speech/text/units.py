"""Units behind a number or alone, with squares, cubes and per; degrees, feet and inches."""

from __future__ import annotations

import re

from audio_pipeline.models.speech.text.quantity import NUMBER, UNIT, parsed

PREFIXES = {
    "k": "kilo",
    "c": "centi",
    "d": "deci",
    "m": "milli",
    "μ": "micro",
    "u": "micro",
    "n": "nano",
    "M": "mega",
    "G": "giga",
    "T": "tera",
    "h": "hecto",
    "p": "pico",
    "P": "peta",
}
STEMS = {  # sign: name, the prefixes it is used with
    "m": ("meter", "kcdmμun"),
    "g": ("gram", "kmμu"),
    "l": ("liter", "cdmμu"),
    "L": ("liter", "cdmμu"),
    "s": ("second", "mμun"),
    "Hz": ("hertz", "kMGT"),
    "W": ("watt", "kMGTm"),
    "Wh": ("watt hour", "kMGT"),
    "V": ("volt", "kmμu"),
    "A": ("amp", "kmμu"),
    "Ah": ("amp hour", "m"),
    "J": ("joule", "kMG"),
    "N": ("newton", "kM"),
    "Pa": ("pascal", "khMG"),
    "B": ("byte", "kMGTP"),
    "Ω": ("ohm", "kM"),
    "cal": ("calorie", "k"),
    "eV": ("electronvolt", "kMG"),
    "bit": ("bit", "kMGT"),
    "bps": ("bit per second", "kMGT"),
    "F": ("farad", "μunp"),
    "t": ("tonne", ""),
    "mol": ("mole", "m"),
    "bar": ("bar", "m"),
    "lm": ("lumen", ""),
    "lx": ("lux", ""),
    "Sv": ("sievert", "mμu"),
}
OTHERS = {
    "KB": "kilobyte",
    "KiB": "kibibyte",
    "MiB": "mebibyte",
    "GiB": "gibibyte",
    "TiB": "tebibyte",
    "kb": "kilobit",
    "Kb": "kilobit",
    "Mb": "megabit",
    "Gb": "gigabit",
    "Kbps": "kilobit per second",
    "Kbit": "kilobit",
    "lb": "pound",
    "lbs": "pound",
    "oz": "ounce",
    "ft": "foot",
    "yd": "yard",
    "mi": "mile",
    "gal": "gallon",
    "qt": "quart",
    "pt": "pint",
    "tsp": "teaspoon",
    "tbsp": "tablespoon",
    "ha": "hectare",
    "h": "hour",
    "hr": "hour",
    "hrs": "hour",
    "min": "minute",
    "mins": "minute",
    "sec": "second",
    "secs": "second",
    "d": "day",
    "wk": "week",
    "wks": "week",
    "yr": "year",
    "yrs": "year",
    "mo": "month",
    "mos": "month",
    "rpm": "revolution per minute",
    "bpm": "beat per minute",
    "fps": "frame per second",
    "mph": "mile per hour",
    "kph": "kilometer per hour",
    "kmh": "kilometer per hour",
    "km/h": "kilometer per hour",
    "dpi": "dot per inch",
    "ppi": "pixel per inch",
    "dB": "decibel",
    "dBA": "decibel A",
    "dBFS": "decibel full scale",
    "psi": "pound per square inch",
    "mmHg": "millimeter of mercury",
    "ppm": "part per million",
    "ppb": "part per billion",
    "cc": "cubic centimeter",
    "mcg": "microgram",
    "px": "pixel",
    "pct": "percent",
    "hp": "horsepower",
    "knots": "knot",
    "kn": "knot",
    "sq ft": "square foot",
    "sq. ft.": "square foot",
    "sq ft.": "square foot",
    "sq mi": "square mile",
    "sq m": "square meter",
    "sq km": "square kilometer",
    "cu ft": "cubic foot",
    "sqft": "square foot",
    "fl oz": "fluid ounce",
    "ft.": "foot",
    "lb.": "pound",
    "lbs.": "pound",
    "oz.": "ounce",
    "min.": "minute",
    "hrs.": "hour",
    "hr.": "hour",
    "sec.": "second",
    "yrs.": "year",
    "yr.": "year",
    "mi.": "mile",
    "ly": "light-year",
    "MP": "megapixel",
    "Mio": "million",
    "pcs": "piece",
    "pcs.": "piece",
}
SAME = frozenset(
    (
        "hertz",
        "kilohertz",
        "megahertz",
        "gigahertz",
        "terahertz",
        "percent",
        "horsepower",
        "lux",
        "decibel A",
        "decibel full scale",
        "stone",
    )
)
IRREGULAR = {"foot": "feet", "inch": "inches"}
NAMES = (
    {sign: name for sign, (name, _) in STEMS.items()}
    | {prefix + sign: PREFIXES[prefix] + name for sign, (name, prefixes) in STEMS.items() for prefix in prefixes}
    | OTHERS
    | {"kΩ": "kilohm", "MΩ": "megohm"}
)
_SIGNS = "|".join(re.escape(sign) for sign in sorted({*NAMES, "in", "in."}, key=len, reverse=True))
_POWER = r"(?:\^?[23](?!\w|[.,]\d))?"
_ONE = rf"(?:{_SIGNS}){_POWER}"
_PER = rf"(?:\s?/\s?(?:(?:100\s?)?{_ONE}|(?:day|hour|week|month|year|person)\b)|[\s·]?{_ONE}\^-[12]|·{_ONE})"
N = NUMBER
RANGE = rf"(?P<n>{N}(?:\s?(?:[-–—x×]|to)\s?{N}){{0,3}}|\d+\s?\d*/\d+|a|half a)"
MEASURE = re.compile(rf"(?<![\w.,]){RANGE}(?P<gap>[\s-]?)(?P<unit>{_ONE}{_PER}*)(?![\w/^°$€£²³'])")
LONE = re.compile(rf"(?<![\w/.])(?P<unit>(?:{_SIGNS})(?:\^[23]|{_POWER}{_PER}+))(?![\w/^])")
DEGREES = re.compile(rf"(?P<n>(?<![\w.,]){N}(?:\s?°?\s?(?:[-–—]|to)\s?[-−]?{N})?)\s?°\s?(?P<scale>[CFKNSEW](?!\w))?")
SCALES = {"C": " Celsius", "F": " Fahrenheit", "K": " Kelvin", "N": " north", "S": " south", "E": " east", "W": " west"}
ANGLE = re.compile(r"(\d+)\s?°\s?(\d+)\s?['′]\s?(?:(\d+(?:\.\d+)?)\s?(?:\"|″|''))?\s?([NSEW]\b)?")
DEGREES_PER = re.compile(rf"\b(Celsius|Fahrenheit|Kelvin|degrees?)/({_ONE})(?!\w)")
FEET = re.compile(r"(?<![\w.,])(\d+)\s?['′]\s?(?:(\d+(?:\.\d+)?)\s?(?:\"|″|''))(?!\w)")
FOOT = re.compile(r"(?<![\w.,'])(\d+)(?:′|'(?=[\s,.;:!?)]|$))(?!\w)")
INCH = re.compile(r"(?<![\w.,\"/])((?:\d+[ -])?\d+/\d+|\d+(?:\.\d+)?)(?:″|\"(?=[\s,.;:!?)x]|$))")
QUOTE = re.compile(r"(?<!\d)\"")
INCHES = re.compile(r"\s*(?:$|[,.;:!?)x×]|(?:wide|long|tall|high|deep|thick|by|of|and|or)\b)")
MICRO = re.compile(r"(?<!\w)(μ[mglLsFVA])(?!\w)")
KELVIN = re.compile(rf"(?<![\w.,])({N})\sK(?!\w)")
CLOCK = re.compile(r"(?<![\w.,])(\d+)\s?h\s?(\d+)(?:\s?(?:min|m)\b)?(?!\w)")
NEVER_BARE = frozenset("A N V F J B h d t pt mo wk mi st. a".split())  # with a space before they may be other words


def units(text: str) -> str:
    """Measures in words; the numbers in them stay digits."""
    if not any(char.isdigit() or char in "/^μ" for char in text):
        return text
    text = ANGLE.sub(_angle, text)
    text = DEGREES.sub(_degrees, text)
    text = DEGREES_PER.sub(lambda match: f"{match[1]} per {_below(match[2])}", text)
    text = FEET.sub(lambda match: f"{_count(match[1], 'foot')} {_count(match[2], 'inch')}", text)
    text = INCH.sub(_inch, FOOT.sub(lambda match: _count(match[1], "foot"), text))
    text = CLOCK.sub(lambda match: f"{_count(match[1], 'hour')} {_count(match[2], 'minute')}", text)
    text = MEASURE.sub(_measure, text)
    text = KELVIN.sub(lambda match: f"{match[1]} kelvin", text)
    text = LONE.sub(_lone, text)
    return MICRO.sub(lambda match: _name(match[1], many=True), text)


def _lone(match: re.Match[str]) -> str:
    if re.fullmatch(r"[A-Z]/[A-Z]", match["unit"]):
        return match[0]  # A/B, of no measure
    return _name(match["unit"], many=True)


def _count(number: str, name: str) -> str:
    return f"{number}{UNIT}{name if _is_one(number) else _many(name)}"


def _is_one(number: str) -> bool:
    found = parsed(number)
    top, over, bottom = number.rpartition(" ")[2].partition("/")
    return number in ("a", "half a") or (bool(over) and int(top) < int(bottom)) or (found is not None and found.is_one)


def _many(name: str) -> str:
    """In the plural; of a rate, its first part.

    >>> _many("mile per hour"), _many("square foot"), _many("hertz"), _many("inch")
    ('miles per hour', 'square feet', 'hertz', 'inches')
    """
    if name in SAME:
        return name
    head, per, rest = name.partition(" per ")
    head, of, what = head.partition(" of ")
    start, space, last = head.rpartition(" ")
    last = last if last in SAME else IRREGULAR.get(last) or (last if last.endswith("s") else f"{last}s")
    return start + space + last + of + what + per + rest


def _measure(match: re.Match[str]) -> str:
    number, gap, unit = match["n"], match["gap"], match["unit"]
    after = match.string[match.end() :]
    bare = re.match(r"[A-Za-z.]+", unit)
    sign = bare[0] if bare else unit
    if sign in ("in", "in.") and unit == sign and not INCHES.match(after):
        return match[0]
    if gap == " " and unit in NEVER_BARE and unit in "Ahdat" and re.match(r"\s[a-z]", after):
        return match[0]
    if unit == "B":
        return match[0]
    if number in ("a", "half a") and (unit in NEVER_BARE or len(unit) < 2):
        return match[0]
    stop = "." if unit.endswith(".") and re.match(r"\s*$|\s+[A-Z]", after) else ""
    single = _is_one(number) or (gap == "-" and re.match(r"[\s-][a-z]", after) is not None)
    return f"{number}{UNIT}{_name(unit, many=not single)}{stop}"


def _name(unit: str, *, many: bool) -> str:
    """Of a sign with its powers and what it is divided by."""
    unit = re.sub(r"[\s·]?([A-Za-zμΩ]+)\^-([12])", lambda match: f"/{match[1]}{'^2' if match[2] == '2' else ''}", unit)
    if unit in NAMES:
        return _many(NAMES[unit]) if many else NAMES[unit]
    head, *below = re.split(r"\s?/\s?", unit)
    spoken_form = " ".join(_powered(part) for part in head.split("·"))
    spoken_form = _many(spoken_form) if many else spoken_form
    return " per ".join([spoken_form, *(_below(part) for part in below)])


def _below(unit: str) -> str:
    if unit.startswith("100"):
        return f"one hundred {_many(_powered(unit[3:].strip()))}"
    time = re.fullmatch(r"(s|min|h)\^?([23])", unit)
    if time:
        return f"{NAMES[time[1]]} {'squared' if time[2] == '2' else 'cubed'}"
    return _powered(unit)


def _powered(unit: str) -> str:
    match = re.fullmatch(r"(.*?)\^?([23])?", unit)
    sign, power = (match[1], match[2]) if match else (unit, None)
    name = "inch" if sign in ("in", "in.") else NAMES.get(sign, sign)
    return {"2": "square ", "3": "cubic ", None: ""}[power] + name


def _degrees(match: re.Match[str]) -> str:
    number = re.sub(r"\s?°?\s?(?:[-–—]|to)\s?(?=[-−]?[\d.])", " to ", match["n"])
    number = re.sub(r"(?<=to )[-−]", "minus ", number)
    scale = SCALES.get(match["scale"] or "", "")
    return f"{number}{UNIT}{'degree' if _is_one(number) else 'degrees'}{scale}"


def _angle(match: re.Match[str]) -> str:
    parts = [_count(match[1], "degree"), _count(match[2], "minute"), _count(match[3], "second") if match[3] else ""]
    return " ".join(filter(None, (*parts, SCALES.get(match[4] or "", "").strip())))


def _inch(match: re.Match[str]) -> str:
    if len(QUOTE.findall(match.string, 0, match.start())) % 2:
        return match[0]  # the end of a quotation
    if re.search(r"\b[Aa]n? $", match.string[: match.start()]) and re.match(r"\s[a-z]", match.string[match.end() :]):
        return f"{match[1]}{UNIT}inch"
    return _count(match[1], "inch")
