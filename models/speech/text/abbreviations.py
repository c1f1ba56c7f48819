"""Abbreviations, titles and Roman numerals."""

from __future__ import annotations

import re

from audio_pipeline.models.speech.text.words import cardinal, ordinal

TITLES = {
    "Jan": "January",
    "Feb": "February",
    "Apr": "April",
    "Jul": "July",
    "Aug": "August",
    "Sep": "September",
    "Sept": "September",
    "Oct": "October",
    "Nov": "November",
    "Dec": "December",
    "Mon": "Monday",
    "Tue": "Tuesday",
    "Tues": "Tuesday",
    "Wed": "Wednesday",
    "Thu": "Thursday",
    "Thurs": "Thursday",
    "Fri": "Friday",
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Miz",
    "Dr": "Doctor",
    "Prof": "Professor",
    "St": "Saint",
    "Mt": "Mount",
    "Ft": "Fort",
    "Gen": "General",
    "Gov": "Governor",
    "Sen": "Senator",
    "Rep": "Representative",
    "Capt": "Captain",
    "Lt": "Lieutenant",
    "Col": "Colonel",
    "Sgt": "Sergeant",
    "Cmdr": "Commander",
    "Rev": "Reverend",
    "Hon": "Honorable",
    "Pres": "President",
    "Supt": "Superintendent",
    "Cpl": "Corporal",
    "Maj": "Major",
    "Adm": "Admiral",
    "Fr": "Father",
    "Msgr": "Monsignor",
    "Drs": "Doctors",
    "Profs": "Professors",
    "Messrs": "Messers",
    "Sr": "Sister",
    "Br": "Brother",
    "Mx": "Mix",
    "Mme": "Madame",
}
ALWAYS = frozenset(("Mr", "Mrs", "Ms", "Dr", "Prof", "Mx", "Messrs", "Msgr", "Mt", "Ft", "St"))  # without a point too
STREETS = {
    "St": "Street",
    "Dr": "Drive",
    "Ave": "Avenue",
    "Av": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Ln": "Lane",
    "Hwy": "Highway",
    "Pkwy": "Parkway",
    "Ct": "Court",
    "Pl": "Place",
    "Sq": "Square",
    "Ste": "Suite",
    "Apt": "Apartment",
    "Bldg": "Building",
    "Mt": "Mountain",
    "Jr": "Junior",
    "Sr": "Senior",
    "Esq": "Esquire",
    "Cir": "Circle",
}
WITH_POINT = {
    "Jan": "January",
    "Feb": "February",
    "Apr": "April",
    "Jul": "July",
    "Aug": "August",
    "Sep": "September",
    "Sept": "September",
    "Oct": "October",
    "Nov": "November",
    "Dec": "December",
    "Mon": "Monday",
    "Tue": "Tuesday",
    "Tues": "Tuesday",
    "Wed": "Wednesday",
    "Thu": "Thursday",
    "Thurs": "Thursday",
    "Fri": "Friday",
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Miz",
    "Prof": "Professor",
    "e.g": "for example",
    "i.e": "that is",
    "etc": "et cetera",
    "vs": "versus",
    "approx": "approximately",
    "ca": "circa",
    "cf": "compare",
    "et al": "and others",
    "viz": "namely",
    "incl": "including",
    "excl": "excluding",
    "resp": "respectively",
    "a.k.a": "also known as",
    "Inc": "Incorporated",
    "Ltd": "Limited",
    "Corp": "Corporation",
    "Co": "Company",
    "Bros": "Brothers",
    "Dept": "Department",
    "dept": "department",
    "Univ": "University",
    "Assn": "Association",
    "Govt": "Government",
    "govt": "government",
    "Intl": "International",
    "est": "established",
    "Ave": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Jr": "Junior",
    "Hwy": "Highway",
    "Pkwy": "Parkway",
    "Bldg": "Building",
    "Apt": "Apartment",
    "esp": "especially",
    "misc": "miscellaneous",
    "temp": "temperature",
    "max": "maximum",
    "avg": "average",
    "tel": "telephone",
    "Tel": "Telephone",
    "intro": "introduction",
    "ext": "extension",
    "w.r.t": "with respect to",
    "p.a": "per year",
    "c/o": "care of",
    "tbsp": "tablespoon",
    "tsp": "teaspoon",
    "encl": "enclosed",
    "obs": "observation",
    "abbr": "abbreviation",
    "n.b": "note well",
    "N.B": "note well",
}
BEFORE_NUMBER = {
    "No": "Number",
    "no": "number",
    "Nos": "Numbers",
    "nos": "numbers",
    "Nr": "Number",
    "nr": "number",
    "p": "page",
    "pp": "pages",
    "P": "Page",
    "Vol": "Volume",
    "vol": "volume",
    "Fig": "Figure",
    "fig": "figure",
    "Figs": "Figures",
    "Ch": "Chapter",
    "ch": "chapter",
    "Sec": "Section",
    "sec": "section",
    "Art": "Article",
    "art": "article",
    "Eq": "Equation",
    "eq": "equation",
    "Ref": "Reference",
    "ref": "reference",
    "Ed": "Edition",
    "ed": "edition",
    "Tab": "Table",
    "Pt": "Part",
    "pt": "part",
    "Ep": "Episode",
    "ep": "episode",
    "min": "minimum",
    "Rm": "Room",
    "c": "circa",
    "ca": "circa",
    "approx": "approximately",
    "l": "line",
    "n": "note",
    "Sect": "Section",
}
NO_POINT = {
    "w/o": "without",
    "w/": "with ",
    "b/c": "because",
    "aka": "also known as",
    "AKA": "also known as",
    "vs": "versus",
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Miz",
    "btw": "by the way",
    "idk": "I don't know",
    "tbh": "to be honest",
    "afaik": "as far as I know",
    "imo": "in my opinion",
    "BTW": "by the way",
    "IMO": "in my opinion",
    "TBD": "to be determined",
    "approx": "approximately",
    "FYI": "F Y I",
    "eg": "for example",
    "ie": "that is",
    "c/o": "care of",
    "n/a": "not applicable",
    "N/A": "not applicable",
    "&c": "et cetera",
    "i18n": "internationalization",
    "dept": "department",
    "govt": "government",
    "a/c": "A C",
    "A/C": "A C",
    "R&B": "R and B",
    "Q&A": "Q and A",
    "R&D": "R and D",
    "AT&T": "A T and T",
}
STARTERS = frozenset(
    "The A An He She It They We You I In On At But And So This That These Those There Then When If His "
    "Her Their Our My "
    "Its What Why How Who Where Not No Yes However After Before As For From To With Nobody Everybody "
    "Some Many Most".split()
)
_alternatives = "|".join(re.escape(key) for key in sorted(WITH_POINT, key=len, reverse=True))
TITLE = re.compile(
    rf"(?<![\w.])({'|'.join(TITLES)})\.\s?(?=[A-Z])|(?<![\w.])({'|'.join(sorted(ALWAYS))})\s(?=[A-Z][a-z])"
)
STREET = re.compile(rf"(?<=[a-z0-9]\s)({'|'.join(STREETS)})(\.|(?=[,;]|\s*$))")
POINT = re.compile(rf"(?<![\w.])({_alternatives})\.(?![\w])(,?)")
NUMBERED = re.compile(rf"(?<![\w.])({'|'.join(BEFORE_NUMBER)})\.\s?(?=\d|[IVXLC]{(2,)}\b|[VX]\b)")
NUMBER = re.compile(r"(?<![\w.])(No|Nos|Nr)\s(?=\d)")
BORN = re.compile(r"(?<![\w.])([bd])\.\s?(?=1\d{3}\b|20\d\d\b)")
BARE = re.compile(rf"(?<![\w.&])({'|'.join(map(re.escape, sorted(NO_POINT, key=len, reverse=True)))})(?![\w])")
INITIALS = re.compile(r"(?<![\w.])((?:[A-Za-z]\.){2,}[A-Za-z]?|Ph\.\s?D\.|M\.Sc\.|B\.Sc\.|[A-Z]\.(?:\s[A-Z]\.)+)(?!\w)")
DEGREES = {"Ph.D.": "P H D", "Ph. D.": "P H D", "M.Sc.": "M S C", "B.Sc.": "B S C"}
ROMAN = r"(?=[IVXLCDM])(M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3}))(?<=[IVXLCDM])"
CARDINALS = (
    "Chapter|chapter|Part|part|Act|act|Scene|scene|Section|section|Volume|volume|Vol|Number|Book|book|Phase|phase|Article|article|"
    "World War|War|Bowl|Fantasy|Mark|Mk|Type|type|Level|level|Stage|stage|Class|class|Grade|grade|Super Bowl|Apollo|"
    "Gemini|Final Fantasy|"
    "Episode|episode|Round|round|Rocky|Appendix|appendix|Figure|figure|Table|table|Title|title|Season|season|Day|Group|group|"
    "Step|step|Unit|unit|Division|division|Category|category|Factor|factor|Note|Region|Saturn|Schedule|Windsor|Civilization"
)
RULERS = (
    "Henry|Louis|Edward|George|William|Charles|James|Richard|Elizabeth|Napoleon|Pius|Benedict|Leo|John "
    "Paul|Ramses|Ramesses|"
    "Frederick|Philip|Alexander|Nicholas|Peter|Catherine|Ivan|Umberto|Victor Emmanuel|Gustav|Christian|"
    "Ferdinand|John|Paul|"
    "Francis|Gregory|Innocent|Urban|Clement|Mary|Otto|Wilhelm|Friedrich|Ludwig|Carlos|Juan Carlos|Felipe|"
    "Alfonso|Joseph|"
    "Constantine|Harald|Haakon|Olaf|Margrethe|Baldwin|Leopold|Albert|Rainier|Darius|Xerxes|Ptolemy|Cleopatra|Rama|Robert"
)
CROWNED = "Pope|King|Queen|Emperor|Tsar|Czar|Kaiser|Sultan|Empress"
COUNTED = re.compile(rf"\b({CARDINALS})\.?\s{ROMAN}\b(?![.'’]\w)")
RULER = re.compile(rf"\b((?:{CROWNED})\s[A-Z]\w+|{RULERS})\s{ROMAN}\b(?!'(?!s\b)\w)")
FIRST = re.compile(
    r"\s*(?:$|[,.;:!?)]|(?:of|was|ruled|and|or|became|died|reigned|had|in|from|the|is|to|began|ended|broke|"
    r"veteran|ace)\b)"
)
CENTURY = re.compile(rf"\b{ROMAN}(?:th|st|nd|rd)?(?=\s(?:century|centuries|Olympi|Congress|Corps|Legion)\b)")
SEQUEL = re.compile(rf"(?<=[a-z]\s)\b(?=II|III|IV|VI|VII|VIII|IX|XI|XV|XX|XL)(?=[IVX]{{2,5}}\b){ROMAN}\b(?!'(?!s\b)\w)")
LETTERS = frozenset("CDLM")  # alone they are letters: Section C, Vitamin D
VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
LEADS = frozenset(word.split()[-1] for word in f"{CARDINALS}|{RULERS}|{CROWNED}".split("|"))


def abbreviations(text: str) -> str:
    """Abbreviations in full, Roman numerals as numbers."""
    text = NUMBERED.sub(lambda match: f"{BEFORE_NUMBER[match[1]]} ", text)
    text = NUMBER.sub(lambda match: f"{BEFORE_NUMBER[match[1]]} ", text)
    text = BORN.sub(lambda match: "born " if match[1] == "b" else "died ", text)
    text = TITLE.sub(_title, text)
    text = STREET.sub(lambda match: STREETS[match[1]] + _stop(match), text)
    text = POINT.sub(lambda match: WITH_POINT[match[1]] + (match[2] or _stop(match)), text)
    text = BARE.sub(lambda match: NO_POINT[match[1]], text)
    return INITIALS.sub(_initials, text)


def roman(text: str) -> str:
    """Roman numerals where something says that they are numbers."""
    text = COUNTED.sub(_counted, text)
    text = RULER.sub(_ruler, text)
    text = CENTURY.sub(lambda match: ordinal(str(value(match[1]))), text)
    return SEQUEL.sub(lambda match: cardinal(str(value(match[1]))), text)


def value(numeral: str) -> int:
    """Of a Roman numeral.

    >>> value("XIV"), value("MCMLXXXIV")
    (14, 1984)
    """
    numbers = [VALUES[char] for char in numeral]
    return sum(-a if a < b else a for a, b in zip(numbers, [*numbers[1:], 0], strict=True))


def known_with_point(word: str) -> bool:
    """Whether the point behind a word belongs to it, or the word says how the next one is read."""
    return word in WITH_POINT or word in TITLES or word in STREETS or word in BEFORE_NUMBER


def _title(match: re.Match[str]) -> str:
    name = match[1] or match[2]
    if name in STREETS and _is_named(match.string[: match.start()]):
        after = re.match(r"[A-Za-z']+", match.string[match.end() :])
        begins = after is not None and after[0] in STARTERS
        if match[1] and (begins or name == "St"):
            return f"{STREETS[name]}{'.' if begins else ''} "
    return f"{TITLES[name]} "


def _is_named(before: str) -> bool:
    """Whether the word before is a name, as that of a street is."""
    word = re.search(r"([A-Z0-9][\w']*)\s$", before)
    return word is not None and word[1] not in STARTERS and word[1] not in TITLES.values()


def _stop(match: re.Match[str]) -> str:
    """The point of an abbreviation ends the sentence too where a new one begins, or nothing comes."""
    if not match[0].endswith("."):
        return ""
    rest = match.string[match.end() :]
    if not rest.strip(" \"')]"):
        return "."
    following = re.match(r"[\"')\]]*\s+[\"'(]*([A-Za-z']+)", rest)
    return "." if following and following[1] in STARTERS else ""


def _initials(match: re.Match[str]) -> str:
    word = match[1]
    if word in DEGREES:
        return DEGREES[word] + _stop(match)
    letters = " ".join(word.replace(".", " ").upper().split())
    return letters + (_stop(match) if word.count(".") > 1 and " " not in word else "")


def _counted(match: re.Match[str]) -> str:
    after = match.string[match.end() :]
    if match[2] in LETTERS or (match[2] == "I" and not (match[1][0].isupper() and FIRST.match(after))):
        return match[0]  # the book I read
    return f"{match[1]} {cardinal(str(value(match[2])))}"


def _ruler(match: re.Match[str]) -> str:
    numeral = match[2]
    if not numeral or (numeral == "I" and not FIRST.match(match.string[match.end() :])):
        return match[0]
    return f"{match[1]} the {ordinal(str(value(numeral)))}"
