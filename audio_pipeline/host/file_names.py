"""Names of files from texts of people: never a path, never longer than it may be."""

from __future__ import annotations

import hashlib
import re

DIGEST = 12
UNFIT = re.compile(r"[^A-Za-z0-9_]+")


def file_name(text: str, most_bytes: int = 60) -> str:
    """ASCII letters, digits, `_` and `-` of a text; a digest of it where nothing is left.

    >>> file_name("../../x"), file_name("Karaoke, live!"), file_name("a" * 9, 4)
    ('x', 'Karaoke-live', 'aaaa')
    """
    fit = UNFIT.sub("-", text).strip("-")[:most_bytes].strip("-")
    return fit or hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[: min(DIGEST, most_bytes)]
