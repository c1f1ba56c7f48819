"""A talker beside a clock: it speaks in a thread of its own, and sound is taken when it is due."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Any

import numpy as np

from audio_pipeline.dsp.fade import fade_out
from audio_pipeline.dsp.resample import resampled
from audio_pipeline.models.talker import Talker

Array = np.ndarray[Any, np.dtype[np.float32]]

FADE_S = 0.01


class LiveTalker:
    """Says one text at a time, at `rate` Hz; a new text or `stop` ends the old one within 10 ms of sound."""

    def __init__(self, talker: Talker, rate: int, pool: Executor, wake: Callable[[], None]) -> None:
        self._talker, self._rate, self._pool, self._wake = talker, rate, pool, wake
        self._lock = threading.Lock()
        self._ready: deque[tuple[str, Array]] = deque()  # text that begins here, or "", and its sound
        self._number = 0  # of the text; an older one's thread sees that it is over
        self._speaking = False
        self.failed: Exception | None = None

    def say(self, text: str) -> None:
        """Begins to say this instead of whatever is being said."""
        self.stop()
        with self._lock:
            self._speaking = True
            number = self._number
        self._pool.submit(self._speak, text, number)

    def stop(self) -> None:
        """What lies ready ends in a fade; nothing of it is heard after."""
        with self._lock:
            self._number += 1
            self._speaking = False
            rest = np.concatenate([sound for _, sound in self._ready]) if self._ready else np.zeros(0, np.float32)
            n = min(round(FADE_S * self._rate), len(rest))
            self._ready.clear()
            if n:
                self._ready.append(("", (rest[:n] * fade_out(n)).astype(np.float32)))

    @property
    def busy(self) -> bool:
        """True while there is something to hear or to be made."""
        with self._lock:
            return self._speaking or bool(self._ready)

    def take(self, samples: int) -> tuple[Array, list[tuple[int, str]]]:
        """At most so many mono samples that are there now, and which clauses begin in them at which offset."""
        parts: list[Array] = []
        begins: list[tuple[int, str]] = []
        filled = 0
        with self._lock:
            while self._ready and filled < samples:
                text, sound = self._ready.popleft()
                if text:
                    begins.append((filled, text))
                part, rest = sound[: samples - filled], sound[samples - filled :]
                parts.append(part)
                filled += len(part)
                if len(rest):
                    self._ready.appendleft(("", rest))
        return (np.concatenate(parts) if parts else np.zeros(0, np.float32)), begins

    def _speak(self, text: str, number: int) -> None:
        try:
            for said, sound in at_rate(self._talker, text, self._rate):
                if not self._add(number, said, sound):
                    return
        except Exception as error:  # noqa: BLE001 - the node raises it in its own thread, where it is said
            self.failed = error
        finally:
            with self._lock:
                if number == self._number:
                    self._speaking = False
            self._wake()

    def _add(self, number: int, text: str, sound: Array) -> bool:
        """False when another text took over."""
        with self._lock:
            if number != self._number:
                return False
            self._ready.append((text, sound))
        self._wake()
        return True


def at_rate(talker: Talker, text: str, rate: int) -> Iterator[tuple[str, Array]]:
    """Each clause with its sound at `rate` Hz; a clause begins and ends in silence, so each is converted by itself."""
    for piece in talker.say([text]):
        yield piece.text, resampled(piece.sound[:, None], talker.rate, rate)[:, 0]
