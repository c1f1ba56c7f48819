"""English text to phonemes as Kokoro reads them (misaki's alphabet), numbers, dates and units said in words."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


@lru_cache(maxsize=2)
def _reader(british: bool) -> Any:
    from hibari.g2p import G2P

    return G2P(british=british)


def to_phonemes(text: str, *, british: bool = False) -> str:
    """The phonemes of one piece of text; what cannot be read (signs of other scripts, pictures) is left out."""
    phonemes: str = _reader(british)(text)
    return phonemes
