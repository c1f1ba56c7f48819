"""A talker beside a clock: it speaks in a thread of its own, and sound is taken when it is due."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from audio_pipeline.dsp.fade import fade_out
from audio_pipeline.dsp.resample import resampled
from audio_pipeline.errors import PipelineError
from audio_pipeline.models.speech.engine import Cancellable, Cancelled
from audio_pipeline.models.speech.joins import Piece
from audio_pipeline.models.speech.talker import Talker

Array = np.ndarray[Any, np.dtype[np.float32]]

FADE_S = 0.01
AHEAD_S = 30.0  # of sound that lies ready; then the thread waits, or an hour of text would be an hour of memory
SOON_S = 0.5
NOTHING = "there is no text to speak in it"
BEGIN, END, WORD = "clause", "clause_end", "word"


class Mark(NamedTuple):
    """Something that happens in the sound, `at` so many samples from its first."""

    at: int
    kind: str  # BEGIN {text}, END, WORD {text, samples}
    data: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Spoken:
    """Mono sound (samples,) at the graph's rate, and what happens in it."""

    sound: Array
    marks: tuple[Mark, ...] = ()


class LiveTalker:
    """Says texts one after the other, at `rate` Hz; `cancel` ends what is said within 10 ms of sound.

    The pool has one thread. What it could not say is in `failed` (this text is given up, the next one is tried) or
    in `broken` (a fault of the program).
    """

    def __init__(self, talker: Talker, rate: int, pool: Executor, wake: Callable[[], None]) -> None:
        self._talker, self._rate, self._pool, self._wake = talker, rate, pool, wake
        self._change = threading.Condition()
        self._ready: deque[Spoken] = deque()
        self._ready_samples = 0
        self._number = 0  # of what is wanted; an older task sees that it is over
        self._tasks = 0  # that are waiting or at work for it
        self._writing = self._hurried = False
        self._written = self._spoken = False  # of the text at work: anything but blanks, any sound
        self.failed: deque[str] = deque()
        self.left_out: deque[str] = deque()  # of texts that were said but for this
        self.broken: Exception | None = None

    def write(self, portion: str) -> None:
        """More of a text; the first portion begins one, which is said behind those before it."""
        if not self._writing:
            self._writing = True
            self._submit(self._begin)
        self._hurried = False
        self._submit(lambda: self._write(portion))

    def hurry(self) -> None:
        """Where the sound is about to end and the text goes on slowly: what is certain of it is said, however short."""
        with self._change:
            due = self._writing and not self._tasks and self._ready_samples < SOON_S * self._rate
        if due and not self._hurried:
            self._hurried = True
            self._submit(self._talker.hurry)

    def settle(self) -> None:
        """What was written is said as it is, though the text may go on."""
        self._submit(self._talker.settle)

    def end(self) -> None:
        """The text that is being written has ended."""
        if self._writing:
            self._writing = False
            self._submit(self._finish)

    def cancel(self) -> bool:
        """What lies ready ends in a fade; nothing of it is heard after. True if anything was being said."""
        with self._change:
            was = self.busy
            self._number, self._tasks, self._writing = self._number + 1, 0, False
            rest = np.concatenate([part.sound for part in self._ready]) if self._ready else np.zeros(0, np.float32)
            n = min(round(FADE_S * self._rate), len(rest))
            self._ready.clear()
            if n:
                self._ready.append(Spoken((rest[:n] * fade_out(n)).astype(np.float32)))
            self._ready_samples = n
            self._change.notify_all()
        if isinstance(self._talker.engine, Cancellable):
            self._talker.engine.cancel()
        return was

    @property
    def making(self) -> bool:
        """True while there is work: what is missing then, the voice was too slow for."""
        with self._change:
            return self._tasks > 0

    @property
    def busy(self) -> bool:
        """True while there is something to hear, to be made or to be written."""
        with self._change:
            return self._writing or self._tasks > 0 or bool(self._ready)

    def take(self, samples: int) -> Spoken:
        """At most so many samples that are there now."""
        parts: list[Array] = []
        marks: list[Mark] = []
        filled = 0
        with self._change:
            while self._ready and filled < samples:
                head, rest = _cut(self._ready.popleft(), samples - filled)
                parts.append(head.sound)
                marks += [mark._replace(at=mark.at + filled) for mark in head.marks]
                filled += len(head.sound)
                if rest is not None:
                    self._ready.appendleft(rest)
            self._ready_samples -= filled
            self._change.notify_all()
        return Spoken(np.concatenate(parts) if parts else np.zeros(0, np.float32), tuple(marks))

    def _begin(self) -> Iterator[Piece]:
        self._talker.begin()
        self._written = self._spoken = False
        return iter(())

    def _write(self, portion: str) -> Iterator[Piece]:
        self._written = self._written or not portion.isspace()
        return self._talker.write(portion)

    def _finish(self) -> Iterator[Piece]:
        yield from self._talker.finish()
        left_out = self._talker.left_out()
        if self._written and not self._spoken:
            self.failed.append(NOTHING)
        elif left_out:
            self.left_out.append(left_out)

    def _submit(self, work: Callable[[], Iterable[Piece]]) -> None:
        with self._change:
            self._tasks += 1
            number = self._number
        self._pool.submit(self._work, work, number)

    def _work(self, work: Callable[[], Iterable[Piece]], number: int) -> None:
        try:
            if number == self._number:
                for spoken in at_rate(work(), self._talker.rate, self._rate):
                    if not self._add(number, spoken):
                        return
        except Cancelled:
            return
        except (MemoryError, PipelineError) as error:
            self._give_up(number, str(error) or "no memory for a synthesis")
        except Exception as error:  # noqa: BLE001 - the node raises it in its own thread, where it is said
            self.broken = error
        finally:
            with self._change:
                self._tasks -= number == self._number
            self._wake()

    def _give_up(self, number: int, why: str) -> None:
        """The rest of this text is not tried; what is ready of it is heard."""
        with self._change:
            if number == self._number:
                self._number, self._tasks, self._writing = self._number + 1, 0, False
                self.failed.append(why)

    def _add(self, number: int, spoken: Spoken) -> bool:
        """False when nobody wants it any more."""
        with self._change:
            self._change.wait_for(lambda: number != self._number or self._ready_samples < AHEAD_S * self._rate)
            if number != self._number:
                return False
            self._ready.append(spoken)
            self._ready_samples += len(spoken.sound)
            self._spoken = True
        self._wake()
        return True


def at_rate(pieces: Iterable[Piece], rate_in: int, rate: int) -> Iterator[Spoken]:
    """Each piece at `rate` Hz with its marks; a clause begins and ends in silence, so each is converted by itself."""
    begun: list[Array] = []  # of a clause that streams: converted as one sound, given as it grows
    given = 0
    for piece in pieces:
        begun.append(piece.sound)
        whole = resampled(np.concatenate(begun)[:, None], rate_in, rate)[:, 0]
        upto = len(whole) if piece.last else max(len(whole) - rate // 50, given)  # its end still depends on what comes
        yield Spoken(whole[given:upto], tuple(_marks(piece, rate_in, rate, upto - given)))
        given = 0 if piece.last else upto
        begun = [] if piece.last else begun


def _marks(piece: Piece, rate_in: int, rate: int, samples: int) -> Iterator[Mark]:
    if piece.text:
        yield Mark(0, BEGIN, {"text": piece.text})
    for word in piece.words:
        at, end = (min(edge * rate // rate_in, samples) for edge in (word.start, word.end))
        yield Mark(at, WORD, {"text": word.text, "samples": end - at})
    if piece.last:
        yield Mark(samples, END, {})


def _cut(spoken: Spoken, samples: int) -> tuple[Spoken, Spoken | None]:
    """The first `samples` of it, and the rest; a mark on the cut belongs to the rest."""
    if samples >= len(spoken.sound):
        return spoken, None
    head = tuple(mark for mark in spoken.marks if mark.at < samples)
    rest = tuple(mark._replace(at=mark.at - samples) for mark in spoken.marks[len(head) :])
    return Spoken(spoken.sound[:samples], head), Spoken(spoken.sound[samples:], rest)
