"""What is spelled in parts: pages, mail, names of files and paths, handles, hashtags, versions, names with signs."""

from __future__ import annotations

import re
from urllib.parse import unquote

from audio_pipeline.models.speech.text.words import cardinal, digits

TOP = (
    "com|org|net|edu|gov|mil|int|io|co|uk|de|fr|eu|it|es|nl|be|ch|at|se|no|dk|fi|pl|cz|pt|ie|us|ca|au|nz|jp|cn|in|br|ru|"
    "info|biz|dev|app|ai|tv|me|ly|gg|xyz|fm|to|tech|online|site|blog|news|museum|name|pro|wiki|example|test|local"
)
SPELLED = frozenset(
    "uk de fr eu nl ch dk cz pt us ca au nz jp cn br ru tv gg fm io ai xyz www txt pdf jpg jpeg png gif "
    "svg mp3 mp4 wav "
    "csv js ts py rs rb cpp html htm css xml yml md ini cfg exe dll iso docx xlsx pptx doc xls ppt ogg "
    "flac aac avi mkv "
    "mov sh bat ps db sql php url http https api id ftp toml tsv rtf odt webp webm tar gz bz7z h hpp cc "
    "lua kt vb cs".split()
)
EXTENSIONS = (
    "txt|pdf|docx?|xlsx?|pptx?|jpe?g|png|gif|svg|webp|mp3|mp4|wav|flac|ogg|aac|avi|mkv|mov|webm|csv|tsv|json|ya?ml|toml|"
    "xml|html?|css|js|jsx|ts|tsx|py|rs|go|java|c|cc|cpp|h|hpp|cs|rb|php|sh|bat|exe|dll|zip|tar|gz|tgz|rar|7z|iso|log|ini|"
    "cfg|conf|md|rst|sql|db|bak|tmp|lock|odt|rtf|net|lua|kt|swift|vue"
)
HOST = rf"(?:[A-Za-z0-9](?:[\w-]*[A-Za-z0-9])?\.)+(?:{TOP})"
URL = re.compile(
    rf"(?<![\w@])(?P<scheme>[a-z][a-z+]*://)(?P<rest>[^\s<>\"]+)|(?<![\w@.])(?P<bare>(?:www\.[\w.-]+|{HOST})(?![\w@-])(?::\d+)?(?:[/?#][^\s<>\"]*)?)",
    re.I,
)
MAIL = re.compile(r"(?i)(?:\bmailto:)?(?<![\w.+-])([\w.+%-]+)@((?:[\w-]+\.)+[a-z]{2,})")
HANDLE = re.compile(r"(?<![\w@/.])@(\w+(?:[.-]\w+)*)")
HASHTAG = re.compile(r"(?<![\w&#/])#([^\W\d]\w*|\d+[^\W\d]\w*)")
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_")
NUMBER_SIGN = re.compile(r"(?<![\w&])#\s?(?=\d)")
SHARP = re.compile(r"\b([A-G]|[CFJ])#(?![\w#])")
FLAT = re.compile(r"\b([A-G])♭")
PLUSES = re.compile(r"\b([A-Za-z]\w{0,3})\+\+")
GRADE = re.compile(r"\b([A-F])([+−])(?![\w\d])|(?:(?<=\s)|(?<=^))([A-F])-(?=[\s,.;:!?]|$)")
DOT_NAME = re.compile(r"(?<![\w.])\.(NET|com|org|io)\b|\b(Node|Vue|React|Next|Express|Three|D3)\.(js)\b")
IP = re.compile(r"(?<![\w.])(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?::(\d+))?(?![\w.]*\d)")
VERSION = re.compile(r"(?<![\w.-])[vV](?:er\.?\s?)?(\d+(?:\.\d+)*)(?:-([a-z]+)\.?(\d*))?(?!\w)")
DOTTED = re.compile(r"(?<![\w.,])(\d+(?:\.\d+){2,})(?:-?(rc|beta|alpha|b|a|dev)\.?(\d*))?(?![\w]|,\d)")
FILE = re.compile(rf"(?<![\w./\\])((?:[\w-]+\.)*[\w-]*[A-Za-z_][\w-]*)\.({EXTENSIONS})(?![\w]|\.\w)")
ANY_FILE = re.compile(
    rf"(?<![\w./\\])(\*)\.({EXTENSIONS})\b|(?<![\w.])\.({EXTENSIONS})\b(?=\s(?:file|format|extension))"
)
DOT_FILE = re.compile(r"(?<![\w.])\.(env|gitignore|bashrc|profile|ssh|config|git|vimrc|zshrc)\b")
PATH = re.compile(
    r"(?<![^\s(\"'=:,])(?:~|\.{1,2})?/(?:[\w.@+-]+/)*[\w.@+-]*[\w]/?(?![\w])|(?<!\w)"
    r"(?:[A-Za-z]:)?\\(?:[\w .-]+\\)*[\w.-]+"
)
HEX = re.compile(r"(?<!\w)0[xX]([0-9A-Fa-f]+)(?!\w)")
OPTION = re.compile(r"(?<!\S)-([A-Za-z])(?![\w-])")
VIDEO = re.compile(r"(?<![\w.,])(\d{3,4})([pi])(\d\d)?(?!\w)")
VIDEO_LINES = {
    "240": "two forty",
    "360": "three sixty",
    "480": "four eighty",
    "576": "five seventy-six",
    "720": "seven twenty",
    "1080": "ten eighty",
    "1440": "fourteen forty",
    "2160": "twenty-one sixty",
}
SUFFIX = re.compile(r"(?<![^\s(\"'])\.([a-z][a-z0-9]{1,6})(?![\w.])")
SNAKE = re.compile(r"\b([A-Za-z]\w*_\w+|__\w+__)(\(\))?")
CALL = re.compile(r"(?<=\w)\(\)")
FLAG = re.compile(r"(?<![\w-])--(?=\w+[-=]\w)([a-z][\w-]*)(?:=(\S+))?")
SIGNS = {
    ".": "dot",
    "/": "slash",
    "-": "dash",
    "_": "underscore",
    "?": "question mark",
    "=": "equals",
    "&": "and",
    "#": "hash",
    ":": "colon",
    "+": "plus",
    "@": "at",
    "%": "percent",
    "~": "tilde",
    "\\": "backslash",
    "*": "star",
}
PIECE = re.compile(r"[^\W\d_]+|\d+|\W|_")
TRAILING = ".,;:!?)]}'\"*"
QUICK = re.compile(r"[@#/\\.+_♭-]|::|\(\)|[vV]\d|0[xX]|\d[pi]")


def links(text: str) -> str:
    """Addresses of pages and mail in words, their signs by name."""
    if "@" not in text and "." not in text and "://" not in text:
        return text
    return URL.sub(_url, MAIL.sub(lambda match: f"{spelled(match[1])} at {spelled(match[2])}", text))


def names(text: str) -> str:
    """Files, paths, handles, versions and the like in words."""
    if not QUICK.search(text):
        return text
    text = IP.sub(_ip, text)
    text = VERSION.sub(_version, DOTTED.sub(_dotted, text))
    text = HEX.sub(lambda match: "zero x " + " ".join(map(_part, match[1])), text)
    text = DOT_NAME.sub(lambda match: f"dot {_part(match[1])}" if match[1] else f"{match[2]} dot J S", text)
    text = SUFFIX.sub(lambda match: f"dot {_part(match[1])}", PATH.sub(_path, text))
    text = FILE.sub(lambda match: f"{spelled(match[1])} dot {_part(match[2])}", text)
    text = ANY_FILE.sub(lambda match: f"{'star ' if match[1] else ''}dot {_part(match[2] or match[3])}", text)
    text = DOT_FILE.sub(lambda match: f"dot {match[1]}", text)
    text = SHARP.sub(r"\1 sharp", FLAT.sub(r"\1 flat", PLUSES.sub(r"\1 plus plus", text)))
    text = GRADE.sub(_grade, text)
    text = HANDLE.sub(lambda match: f"at {spelled(match[1])}", text)
    text = HASHTAG.sub(lambda match: f"hashtag {CAMEL.sub(' ', match[1])}", text)
    text = FLAG.sub(lambda match: f"dash dash {spelled(match[1])}" + (f" equals {match[2]}" if match[2] else ""), text)
    text = VIDEO.sub(_video, OPTION.sub(r"dash \1", text))
    text = SNAKE.sub(lambda match: CAMEL.sub(" ", match[1]).strip(), text)
    return NUMBER_SIGN.sub("number ", CALL.sub("", text))


def spelled(text: str) -> str:
    """Parts as words, signs by name.

    >>> spelled("example.co.uk/a-b_c")
    'example dot co dot U K slash a dash b underscore c'
    """
    return " ".join(filter(None, (SIGNS.get(part, _part(part)) for part in PIECE.findall(text))))


def _part(text: str) -> str:
    if text.isdigit():
        return digits(text) if len(text) > 4 or (text[0] == "0" and len(text) > 1) else cardinal(text)
    if text.lower() in SPELLED:
        return " ".join(cardinal(char) if char.isdigit() else char.upper() for char in text)
    return text if text.isalnum() else ""


def _url(match: re.Match[str]) -> str:
    whole = match["rest"] or match["bare"]
    address = whole.rstrip(TRAILING)
    if "(" in address and whole.startswith(f"{address})"):
        address += ")"
    return spelled(unquote(address.rstrip("/"))) + whole[len(address) :]


def _video(match: re.Match[str]) -> str:
    if match[1] not in VIDEO_LINES:
        return match[0]
    return f"{VIDEO_LINES[match[1]]} {match[2]}" + (f" {cardinal(match[3])}" if match[3] else "")


def _grade(match: re.Match[str]) -> str:
    return f"{match[1] or match[3]} {'plus' if match[2] == '+' else 'minus'}"


def _ip(match: re.Match[str]) -> str:
    parts = match.groups()[:4]
    if any(int(part) > 255 for part in parts):
        return match[0]
    return " dot ".join(map(cardinal, parts)) + (f" colon {cardinal(match[5])}" if match[5] else "")


def _version(match: re.Match[str]) -> str:
    return f"version {_numbers(match[1])}" + _stage(match[2], match[3])


def _dotted(match: re.Match[str]) -> str:
    if all(len(part) == 3 for part in match[1].split(".")[1:]) and len(match[1].split(".")[0]) <= 3:
        return match[0]  # thousands
    return _numbers(match[1]) + _stage(match[2], match[3])


def _numbers(text: str) -> str:
    return " point ".join(map(cardinal, text.split(".")))


def _stage(name: str | None, number: str | None) -> str:
    if not name:
        return ""
    spoken_form = {"rc": "R C", "b": "beta", "a": "alpha"}.get(name, name)
    return f" {spoken_form}" + (f" {cardinal(number)}" if number else "")


def _path(match: re.Match[str]) -> str:
    text = match[0]
    before = match.string[: match.start()]
    if text.count("/") + text.count("\\") < 2 and (before[-1:].isalnum() or len(text) < 3):
        return text
    return spelled(text)
