"""Cuts a stream at the edges of speech that a detector of another rate finds in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.hysteresis import Edge, Gate, Hysteresis
from audio_pipeline.dsp.mono import Mono
from audio_pipeline.dsp.resample import StreamResampler

Samples = NDArray[np.float32]
Detect = Callable[[Samples], float]  # a window (samples,) to the probability of speech


class Piece(NamedTuple):
    """Sound from `position` on; one sample long where an utterance starts with it or ends with it."""

    position: int
    data: Samples
    starts: bool
    ends: bool


class Utterance(NamedTuple):
    """Samples [start, end) are speech; `end` is None while it goes on."""

    start: int
    end: int | None


class Found(NamedTuple):
    """What a step has brought."""

    pieces: list[Piece]
    utterances: list[Utterance]


class Utterances:
    """Holds the sound back until no later decision can change it, and gates it where a gate is given.

    The detector sees mono windows of `window` samples at `detect_rate`, on a grid that begins with the first
    sample: block sizes change nothing. A stream that jumps needs a new object.
    """

    def __init__(
        self, rate: int, detect: Detect, detect_rate: int, window: int, hysteresis: Hysteresis, gate: Gate | None
    ) -> None:
        self._rate, self._detect, self._detect_rate, self._window = rate, detect, detect_rate, window
        self._hysteresis, self._gate = hysteresis, gate
        self._resampler = StreamResampler(rate, detect_rate, 1)
        self.sides = Mono(rate)
        self.probability = 0.0  # of the last window
        self._origin: int | None = None
        self._sent = self._windows = 0
        self._end: int | None = None  # of the stream, once it is known
        self._mono = np.zeros(0, np.float32)  # at detect_rate, not in a window yet
        self._held = np.zeros((0, 1), np.float32)  # from position `_sent` on
        self._edges: list[Edge] = []  # ahead of `_sent`
        self._start = 0

    def push(self, position: int, x: Samples) -> Found:
        """Takes (n, channels); `position` counts for the first block, the others follow it."""
        if self._origin is None:
            self._origin = self._sent = position
        self._held = np.concatenate([self._held, x]) if len(self._held) else x
        found = self._feed(self._resampler.process(self.sides.process(x))[:, 0])
        return Found(self._cut(self._input_end(self._windows) - self._hysteresis.latency_samples), found)

    def flush(self) -> Found:
        """The stream has ended: what is held, and the end of an open utterance."""
        self._end = self._sent + len(self._held)
        found = self._feed(self._resampler.flush()[:, 0])
        if len(self._mono):
            found += self._feed(np.zeros(self._window - len(self._mono), np.float32))
        found += self._utterances(self._hysteresis.flush())
        return Found(self._cut(self._end), found)

    def _input_end(self, windows: int) -> int:
        """Position at which a window begins."""
        return (self._origin or 0) + windows * self._window * self._rate // self._detect_rate

    def _feed(self, mono: Samples) -> list[Utterance]:
        found = []
        self._mono = np.concatenate([self._mono, mono])
        while len(self._mono) >= self._window:
            window, self._mono = self._mono[: self._window], self._mono[self._window :]
            start, stop = self._input_end(self._windows), self._input_end(self._windows + 1)
            self._windows += 1
            self.probability = self._detect(window)
            found += self._utterances(self._hysteresis.push(start, stop - start, self.probability))
        return found

    def _utterances(self, edges: list[Edge]) -> list[Utterance]:
        utterances = []
        for found in edges:
            edge = found if self._end is None else Edge(min(found.position, self._end), found.on)
            self._edges.append(edge)
            if self._gate:
                self._gate.edge(edge)
            self._start = edge.position if edge.on else self._start
            utterances.append(Utterance(self._start, None if edge.on else edge.position))
        return utterances

    def _cut(self, limit: int) -> list[Piece]:
        """The sound up to `limit`, in pieces: first and last samples of utterances stand alone."""
        limit = min(limit, self._sent + len(self._held))
        starts = {edge.position for edge in self._edges if edge.on}
        ends = {edge.position - 1 for edge in self._edges if not edge.on}
        marks = sorted(mark for mark in starts | ends if mark < limit)
        stops = sorted({limit, *marks, *(mark + 1 for mark in marks)})
        pieces = []
        for stop in stops:
            if stop > self._sent:
                data, self._held = self._held[: stop - self._sent], self._held[stop - self._sent :]
                data = self._gate.process(self._sent, data) if self._gate else data
                pieces.append(Piece(self._sent, data, self._sent in starts, stop - 1 in ends))
                self._sent = stop
        self._edges = [e for e in self._edges if e.position - (not e.on) >= self._sent]
        return pieces
