"""Which frames a model sees when: windows on a grid that is anchored at sample 0, and its rungs.

Frame k covers the samples [k*1024 - 4096, k*1024). A rung is one way to cut: at one hop, inference i runs when
frame hop*(i+1) - 1 is complete. A stream may change its rung between two windows. The step from one window to
the next is the hop of the first of them; so where lookahead + hop is the same on both rungs, no sample
becomes final later than it would have, and windows want equally many frames on every rung.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from audio_pipeline.models.separation.types import MODES, REVISED, STFT, Latency, SeparatorSettings

SHORT = 64  # frames of the cheapest window: the network's stride
STEEPER = 1.5  # a rung pays if it halves, or nearly halves, the work


class Rung(NamedTuple):
    """Frames in a window, frames of future a mask must have seen, and frames to the next window."""

    window: int
    lookahead: int
    hop: int

    @property
    def work(self) -> float:
        """Frames that the network sees for each frame of sound."""
        return self.window / self.hop


@dataclass(frozen=True)
class Cut:
    """Where one window lies."""

    index: int
    first: int  # frame that the window begins with; negative before the sound
    last: int  # its newest frame
    wanted: range  # places in the window whose masks are asked for
    final: int  # one past the last frame that becomes final with it
    start: int  # samples [start, stop) become final
    stop: int


def top_rung(settings: SeparatorSettings) -> Rung:
    """The rung that settings describe."""
    mode = MODES[settings.mode]
    return Rung(mode.window, mode.lookahead, settings.frames_between)


def ladder_rungs(settings: SeparatorSettings) -> tuple[Rung, ...]:
    """Ever cheaper rungs of one and the same latency: lookahead is traded for hop, and then the past is halved.

    >>> [tuple(rung) for rung in ladder_rungs(SeparatorSettings("balanced", hop=2))]
    [(128, 4, 2), (128, 2, 4), (128, 0, 6), (64, 0, 6)]
    """
    rungs = [top_rung(settings)]
    if not MODES[settings.mode].sliding:
        return tuple(rungs)
    window, lookahead, hop = rungs[0]
    room = lookahead + hop
    while rungs[-1].hop * 2 <= room:
        hop = rungs[-1].hop * 2
        rungs.append(Rung(window, room - hop, hop))
    if room >= STEEPER * rungs[-1].hop:
        rungs.append(Rung(window, 0, room))
    return (*rungs, rungs[-1]._replace(window=SHORT))


def trial_rung(settings: SeparatorSettings) -> Rung | None:
    """One rung above the stated one, at the same latency: twice the inferences, the hop turned into lookahead.

    >>> trial_rung(SeparatorSettings("balanced", hop=4)), trial_rung(SeparatorSettings("low", hop=1))
    (Rung(window=128, lookahead=6, hop=2), None)
    """
    window, lookahead, hop = top_rung(settings)
    if not MODES[settings.mode].sliding or hop == 1:
        return None
    return Rung(window, lookahead + hop - hop // 2, hop // 2)


def ladder_latency(settings: SeparatorSettings) -> Latency:
    """The latency of every rung, by the terms of the one that puts out most at once.

    >>> SeparatorSettings("balanced", hop=2).latency, ladder_latency(SeparatorSettings("balanced", hop=2))
    (Latency(window=4096, lookahead=4096, hop=1024), Latency(window=4096, lookahead=0, hop=5120))
    """
    last = ladder_rungs(settings)[-1]
    return Latency(STFT.frame, last.lookahead * STFT.hop, (last.hop - 1) * STFT.hop)


class Grid:
    """Hands out windows in their order. `rung` may be changed between two of them."""

    def __init__(self, rung: Rung, *, sliding: bool) -> None:
        self.rung, self._sliding, self._widest = rung, sliding, rung.window
        self.reset()

    def reset(self) -> None:
        """Starts again at frame 0; the rung stays."""
        self._index = 0
        self._last, self._hop = -1, self.rung.hop  # of the window before
        self._final = -self.rung.lookahead

    @property
    def reached(self) -> int:
        """Samples before this one are final, or will be with the windows handed out."""
        return _samples(self._final)

    def ready(self, frames: int, *, ended: bool) -> bool:
        """Whether the next window is complete, of a stream of which `frames` are known."""
        return ended or frames > self._last + self._hop

    def advance(self, frames: int, *, ended: bool) -> Cut:
        """The next window; at the end of a sliding stream the last one ends with its last frame."""
        last, rung = self._last + self._hop, self.rung
        closing = ended and self._sliding and last >= frames
        last = frames - 1 if closing else last
        final = min(last + 1 - (0 if closing else rung.lookahead), frames)
        span = rung.window if self._sliding else rung.hop
        wanted = rung.window - rung.hop - rung.lookahead - REVISED if self._sliding else 0
        cut = Cut(
            self._index,
            last + 1 - span,
            last,
            range(wanted, rung.window),
            final,
            _samples(self._final),
            _samples(final),
        )
        self._index, self._last, self._hop, self._final = self._index + 1, last, rung.hop, final
        return cut

    def oldest(self, last: int) -> int:
        """The oldest frame that a window after the one that ends with `last` can ask for."""
        return last + 1 - self._widest


def _samples(frames: int) -> int:
    """Samples that are final once so many frames are."""
    return max(0, frames - STFT.overlap) * STFT.hop
