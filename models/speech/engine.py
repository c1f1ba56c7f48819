"""What speaks: engines that turn a piece of text into sound. What they can do beyond that is asked of each.

An engine has `rate` and `speak`. One that has its sound bit by bit has `stream` as well; one that can stop in the
middle has `cancel`; one that knows where its words are has `timed`. `isinstance` tells, since it looks for the method.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]


class Word(NamedTuple):
    """A word of the text, and from which sample to which it is heard."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class Speech:
    """Mono sound (samples,) and the words in it; none where the engine does not know."""

    sound: Array
    words: tuple[Word, ...] = ()


class Cancelled(Exception):  # noqa: N818 - nothing went wrong
    """Raised by an engine in the middle of a synthesis, after `cancel`."""


class Engine(Protocol):
    """A voice that can speak."""

    rate: int

    def synthesise(self, text: str) -> Array:
        """Mono sound (samples,); empty where there is nothing to say."""


@runtime_checkable
class Streaming(Protocol):
    """An engine that has the beginning of a piece before its end."""

    def stream(self, text: str) -> Iterator[Array]:
        """What `speak` would give, in parts (samples,) of any lengths, each as soon as it is made."""


@runtime_checkable
class Cancellable(Protocol):
    """An engine whose work can be stopped from another thread."""

    def cancel(self) -> None:
        """Ends the synthesis under way: `speak`, `stream` or `timed` raise Cancelled soon. None under way: nothing.

        The next synthesis is not touched.
        """


@runtime_checkable
class Timed(Protocol):
    """An engine that knows where its words are."""

    def timed(self, text: str) -> Speech:
        """As `speak`, with the words."""
