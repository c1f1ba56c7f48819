"""Numbers and words that come over the control socket: each is checked here, and refused with one sentence."""

from __future__ import annotations

import math
from typing import Any

from audio_pipeline.errors import ControlError

MOST_SECONDS = 1e7  # of a song: 115 days
SHOWN = 80  # characters of a value in a sentence


def shown(value: Any) -> str:
    """A value as it stands in a sentence, however long it is.

    >>> shown("x" * 100)[-4:], shown(float("nan"))
    ('xxx…', 'nan')
    """
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def seconds(what: str, value: Any) -> float:
    """A time in a song. Raises ControlError.

    >>> seconds("seek: seconds", 3)
    3.0
    """
    right = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= MOST_SECONDS
    if not right:
        raise ControlError(f"{what}: expected a number >= 0 and <= {MOST_SECONDS:.0f}, got {shown(value)}")
    return float(value)


def switch(what: str, value: Any) -> bool:
    """True or false, and nothing that Python would take for them. Raises ControlError."""
    if not isinstance(value, bool):
        raise ControlError(f"{what}: expected true or false, got {shown(value)}")
    return value


def finite(value: Any) -> float:
    """A number of a node's own word. Raises ValueError for what nobody can reckon with."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{shown(value)}, expected a finite number")
    return number
