"""Text on a terminal or in a log: nothing that somebody else chose controls it, and no character stops it."""

from __future__ import annotations

import codecs
import errno
import json
import math
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TextIO

FALLBACK = "audio_pipeline.fallback"  # how our streams write what their encoding does not have
# C0, DEL, C1 and half characters (bytes of a file name that are no text); line and paragraph separators; marks that
# turn the direction of writing, with which a name can look like another one
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
PLAIN = str.maketrans(
    {
        "µ": "u",
        "×": "x",
        "·": "-",
        "…": "...",
        "–": "-",
        "—": "-",
        "−": "-",
        "‘": "'",
        "’": "'",
        "“": '"',
        "”": '"',
        "›": ">",
        "‹": "<",
        "→": "->",
        "←": "<-",
        "↑": "up",
        "↓": "down",
        "⇅": "|",
        "●": "*",
        "○": "o",
        "◌": ".",
        "✗": "x",
        "▶": ">",
        "⏸": "=",
        "━": "=",
        "╸": "=",
        "┃": "|",
        "─": "-",
        "│": "|",
        "▀": "#",
        "█": "#",
        "▇": "#",
        "▆": "+",
        "▅": "+",
        "▄": "=",
        "▃": "-",
        "▂": "-",
        "▁": ".",
        "±": "+-",
        "≥": ">=",
        "≤": "<=",
        "°": "deg",
        "\u00a0": " ",
    }
)


def printable(text: object, keep: str = "") -> str:
    """`text` with every control character made visible, but those in `keep`; a byte that is no text as that byte.

    >>> printable("a\\x1b]52;c;eA==\\x07b"), printable("caf\\udce9"), printable("one\\ntwo", keep="\\n")
    ('a\\\\x1b]52;c;eA==\\\\x07b', 'caf\\\\xe9', 'one\\ntwo')
    """
    return CONTROLS.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), str(text))


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: a byte of a file name
        return f"\\x{code - 0xDC00:02x}"
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    )


def write(*lines: object, out: TextIO | None = None) -> None:
    """Writes lines to `out` (standard output) at once. What stands in them may come from anywhere."""
    text = "".join(printable(line, keep="\n\t") + "\n" for line in lines)
    out = sys.stdout if out is None else out
    out.write(text)
    out.flush()


def warn(*lines: object) -> None:
    """Writes lines to standard error; where nobody can read it any more, nothing happens."""
    try:
        write(*lines, out=sys.stderr)
    except (OSError, ValueError):
        abandon(sys.stderr)


def is_gone(error: BaseException) -> bool:
    """Whether an error says that nobody reads any more: a closed pipe, or a terminal that was closed."""
    return isinstance(error, EOFError) or (isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.EIO))


def abandon(stream: Any) -> None:
    """What is still written to `stream` leads nowhere, and what it holds back is no error at the end."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def plain(value: Any) -> Any:
    """What JSON has: numbers that are none become null, what it does not know becomes text.

    >>> plain({"a": [float("nan"), b"x", 1.5]})
    {'a': [None, "b'x'", 1.5]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (str, int)) or value is None else str(value)


def write_json_line(value: Any, out: TextIO) -> None:
    """Writes a value as one line of JSON at once."""
    out.write(json_text(value, out) + "\n")
    out.flush()


def json_text(value: Any, out: TextIO) -> str:
    """A value as JSON in one line; control characters, and those that `out` does not have, as JSON escapes them."""
    has_all = (getattr(out, "encoding", None) or "utf-8").lower().startswith("utf")
    text = json.dumps(value, ensure_ascii=not has_all, allow_nan=False)
    return CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def mend(stream: Any) -> None:
    """Makes a text stream write all there is, in the characters that it has (LANG=C, PYTHONIOENCODING=ascii)."""
    if hasattr(stream, "reconfigure"):
        with suppress(OSError, ValueError):  # it writes what waits, and the reader may be gone
            stream.reconfigure(errors=FALLBACK)


def _fall_back(error: UnicodeError) -> tuple[str, int]:
    """For `codecs`: near it in ASCII where that is known, else escaped."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(PLAIN)
    return "".join(each if each.isascii() else _shown(each) for each in text), error.end


def _shown(character: str) -> str:
    code = ord(character)
    return _escape(character) if code < 0x10000 else f"\\U{code:08x}"


codecs.register_error(FALLBACK, _fall_back)
