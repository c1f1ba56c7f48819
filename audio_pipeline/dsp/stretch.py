"""Tempo without pitch, while it plays: a streaming phase vocoder on a grid of output frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.pace import Pace
from audio_pipeline.dsp.vocoder import Complexes, Vocoder
from audio_pipeline.errors import ConfigError

Samples = NDArray[np.float32]
Floats = NDArray[np.float64]
Shape = Callable[
    [Complexes, float], Complexes
]  # what is done to a spectrum (channels, bins) at a speed, before it sounds

FRAME = 4096  # samples: 93 ms at 44.1 kHz, which tells partials 25 Hz apart
OVERLAP = 4
COMPENSATION = 8 / (3 * OVERLAP)  # Hann^2 at this overlap adds up to 3/8 of it
WAITED_HOPS = 3  # of output after a place that it waits for: its own piece, and the two frames that reach into it
SLOWEST, FASTEST = 0.25, 4.0
RETURN = 16  # frames in which the phases come back to the input's own once the speed is 1: 0.4 s


@dataclass(frozen=True)
class Piece:
    """A hop of the output (hop, channels), which is the input from place `begin` to place `end`.

    Where onsets are kept, time runs unevenly by up to 60 ms around these places.
    """

    begin: float
    end: float
    sound: Samples


@dataclass(frozen=True)
class _Frame:
    """An output frame: its place in the input, whether it is the input's own, its windowed sound (frame, channels)."""

    place: float
    is_input: bool
    sound: Floats


class Stretch:
    """A stream (n, channels) at another speed: input samples for one of output. Any cut of the input gives the same.

    Output frames lie `hop` = frame / 4 apart; frame k is the input around place a(k), which advances by hop x speed.
    At speed 1, and 0.4 s after a return to it, the output is the input to the bit; `shape` is not asked for then.
    With `onsets_at`, the rate in Hz, drums stay as sharp as they are: time runs at 1 while one is within a frame, and
    what begins with it keeps its own phases (after A. Robel, "A new approach to transient processing in the phase
    vocoder", DAFx 2003).
    """

    def __init__(
        self,
        channels: int,
        speed: float = 1.0,
        frame: int = FRAME,
        *,
        shape: Shape | None = None,
        onsets_at: int | None = None,
    ) -> None:
        self.hop, self._half, self._channels = frame // OVERLAP, frame // 2, channels
        self._window: Floats = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)
        self._first_speed, self._shape = checked(speed), shape
        self._pace = Pace(self.hop, self._half, channels, onsets_at)
        self.reset()

    def reset(self) -> None:
        """The next sample is sample 0 of input and output."""
        self._start, self._end = -4 * self._half, 0  # of the input that is held; zeros lie in front of it
        self._held: Samples = np.zeros((-self._start, self._channels), np.float32)
        self._speeds: deque[tuple[float, float]] = deque([(-np.inf, self._first_speed)])
        self._pace.reset(-self.hop * self._first_speed)  # the second frame is around sample 0
        self._frames: deque[_Frame] = deque(maxlen=OVERLAP)
        self._last: tuple[int, Complexes] | None = None  # the spectrum of the last frame's input, and where it lay
        self._steady = 0  # frames at speed 1, one after the other
        self._vocoder = Vocoder()

    def set_speed(self, speed: float) -> None:
        """From the next sample of input on. ConfigError beyond 0.25 to 4."""
        self._speeds.append((self._end, checked(speed)))

    def process(self, x: Samples) -> Samples:
        """What x (n, channels) completes of the output."""
        return _joined(self.pieces(x), self._channels)

    def pieces(self, x: Samples) -> list[Piece]:
        """The same, hop by hop, with the places of the input that they are."""
        self._held = np.concatenate([self._held, x])
        self._end += len(x)
        self._pace.note(x)
        found = []
        while round(self._pace.place) + self._half + self._pace.lookahead <= self._end:
            self._add_frame()
            found += [self._piece()] if len(self._frames) == OVERLAP else []
        self._forget()
        return found

    def flush(self) -> Samples:
        """The rest, up to the place of the last sample that came in."""
        return _joined(self.last_pieces(), self._channels)

    def last_pieces(self) -> list[Piece]:
        """The rest, hop by hop; the last one is cut where the input ended."""
        end = self._end
        waited = self._half + self._pace.lookahead + round((WAITED_HOPS + 1) * FASTEST * self.hop)
        zeros = np.zeros((waited, self._channels), np.float32)
        return [_cut(piece, end) for piece in self.pieces(zeros) if piece.begin < end]

    def _add_frame(self) -> None:
        speed, place, nominal = self._speed(), self._pace.place, self._pace.nominal
        at = round(place)
        self._steady = self._steady + 1 if speed == 1.0 and place == nominal else 0
        earlier = self._spectrum(at - self.hop)
        now = self._spectrum(at)
        begins = self._pace.has_onset and speed != 1.0
        spectrum = self._vocoder.next(now, earlier, self._return_share(), begins=begins)
        if self._shape is not None and speed != 1.0:
            spectrum = self._shape(spectrum, speed)
        sound = np.fft.irfft(spectrum, 2 * self._half, axis=1).T * (self._window * COMPENSATION)[:, None]
        self._frames.append(_Frame(nominal, self._vocoder.is_input and self._steady > 0, sound))
        self._last = at, now
        self._pace.advance(speed)

    def _speed(self) -> float:
        """What was set for the sample at the place of the next frame."""
        while len(self._speeds) > 1 and self._speeds[1][0] <= self._pace.nominal:
            self._speeds.popleft()
        return self._speeds[0][1]

    def _return_share(self) -> float:
        """How much of a rotation is taken back: equal steps, so that the last one ends at none."""
        return 1 / max(RETURN + 1 - self._steady, 1) if self._steady else 0.0

    def _spectrum(self, at: int) -> Complexes:
        """Of the frame around position `at` (channels, bins)."""
        if self._last is not None and self._last[0] == at:
            return self._last[1]
        first = at - self._half - self._start
        part = self._held[first : first + 2 * self._half].astype(np.float64)
        return np.asarray(np.fft.rfft((part * self._window[:, None]).T, axis=1))

    def _piece(self) -> Piece:
        """The hop of output between the two middle frames, which nothing is added to any more."""
        first, second, third = (frame.place for frame in list(self._frames)[:3])
        if self._is_input():
            at = round(second) - self._start
            return Piece(second, third, self._held[at : at + self.hop].copy())
        parts = [
            frame.sound[i * self.hop : (i + 1) * self.hop] for i, frame in zip((3, 2, 1, 0), self._frames, strict=True)
        ]
        return Piece(second, third, np.sum(parts, axis=0).astype(np.float32))

    def _is_input(self) -> bool:
        places = [frame.place for frame in self._frames]
        return all(frame.is_input for frame in self._frames) and all(
            after - before == self.hop for before, after in zip(places[:-1], places[1:], strict=True)
        )

    def _forget(self) -> None:
        """What nobody reads again: the next frame reaches back by half a frame and a hop, a copy by a few hops."""
        needed = min(self._pace.place, self._pace.nominal, *(frame.place for frame in self._frames))
        needless = round(needed) - self._half - 2 * self.hop - self._start
        if needless > 0:
            self._held, self._start = self._held[needless:].copy(), self._start + needless


def checked(speed: float) -> float:
    """A speed that can be played. ConfigError where it cannot."""
    if not SLOWEST <= speed <= FASTEST:
        raise ConfigError(f"speed: expected {SLOWEST:g} to {FASTEST:g}, got {speed!r}")
    return float(speed)


def _cut(piece: Piece, end: float) -> Piece:
    if piece.end <= end:
        return piece
    kept = round(len(piece.sound) * (end - piece.begin) / (piece.end - piece.begin))
    return Piece(piece.begin, end, piece.sound[:kept])


def _joined(pieces: list[Piece], channels: int) -> Samples:
    return np.concatenate([np.zeros((0, channels), np.float32), *(piece.sound for piece in pieces)])
