"""What a voice may be called: names are data, shown and compared, and never part of a path."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from audio_pipeline.errors import ConfigError

LONGEST = 64  # characters
RESERVED = ("light", "xtts")  # voices of their own
KINDS = ("xtts:",)  # how names of other engines' voices begin


def checked_name(name: str) -> str:
    """The name in Unicode's composed form (NFC). Raises ConfigError unless it is 1 to 64 printable characters.

    >>> checked_name("Zoe\\N{COMBINING DIAERESIS}") == "Zo\\N{LATIN SMALL LETTER E WITH DIAERESIS}"
    True
    """
    found = unicodedata.normalize("NFC", name)
    if not found or len(found) > LONGEST or not found.isprintable() or found != found.strip():
        raise ConfigError(f"a voice's name has 1 to {LONGEST} printable characters, got {name!r:.80}")
    return found


def free_name(name: str, taken: Iterable[str]) -> str:
    """A checked name that no other voice has, however it is written. Raises ConfigError."""
    found = checked_name(name)
    if key(found).startswith(KINDS):
        raise ConfigError(f"a name cannot begin with {' or '.join(KINDS)}, got {found!r:.80}")
    if key(found) in RESERVED:
        raise ConfigError(f"{found!r} is the name of a voice that is always there; choose another name")
    for other in taken:
        if key(other) == key(found):
            raise ConfigError(f"there is a voice {other!r} already; choose another name, or delete that voice first")
    return found


def key(name: str) -> str:
    """By what two names are the same: neither case nor the way a letter is composed counts (NFKC, case folded).

    >>> key("ANNA") == key("anna"), key("\\N{FULLWIDTH LATIN CAPITAL LETTER A}") == key("a")
    (True, True)
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
