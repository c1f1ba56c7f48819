"""Which frames a model sees when: windows on a grid that is anchored at sample 0, and its rungs.

Frame k covers the samples [k*hop - frame, k*hop) of the model's transform. A rung is one way to cut: at one hop,
inference i runs when frame hop*(i+1) - 1 is complete. A stream may change its rung between two windows. The step from
one window to the next is the hop of the first of them; so where lookahead + hop is the same on both rungs, no sample
becomes final later than it would have, and windows want equally many frames on every rung.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from audio_pipeline.models.separation.spec import ModelSpec
from audio_pipeline.models.separation.types import Latency, SeparatorSettings, frames_between

SHORT = 64  # frames of the cheapest window: the stride of Spleeter's network
STEEPER = 1.5  # a rung pays if it halves, or nearly halves, the work


class Rung(NamedTuple):
    """Frames in a window, frames of future an answer must have seen, and frames to the next window."""

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
    wanted: range  # places in the window whose answers are asked for
    final: int  # one past the last frame that becomes final with it
    start: int  # samples [start, stop) become final
    stop: int


def top_rung(spec: ModelSpec, settings: SeparatorSettings) -> Rung:
    """The rung that settings describe."""
    mode, hop = spec.mode(settings.mode), frames_between(spec, settings)
    return Rung(mode.window + (hop if spec.stateful else 0), mode.lookahead, hop)


def ladder_rungs(spec: ModelSpec, settings: SeparatorSettings) -> tuple[Rung, ...]:
    """Ever cheaper rungs of one and the same latency: lookahead is traded for hop, and then the past is halved.

    A stateful model has one: its work goes by the frame, and its lookahead is part of its weights.

    >>> from audio_pipeline.models.separation.catalogue import SPLEETER_2STEMS
    >>> [tuple(rung) for rung in ladder_rungs(SPLEETER_2STEMS, SeparatorSettings("balanced", hop=2))]
    [(128, 3, 2), (128, 1, 4), (64, 1, 4)]
    """
    rungs = [top_rung(spec, settings)]
    if spec.stateful or not spec.mode(settings.mode).sliding:
        return tuple(rungs)
    window, lookahead, hop = rungs[0]
    budget = lookahead + hop  # frames from the newest to the first that waits
    while rungs[-1].hop * 2 <= budget:
        hop = rungs[-1].hop * 2
        rungs.append(Rung(window, budget - hop, hop))
    if budget >= STEEPER * rungs[-1].hop:
        rungs.append(Rung(window, 0, budget))
    return (*rungs, rungs[-1]._replace(window=SHORT))


def trial_rung(spec: ModelSpec, settings: SeparatorSettings) -> Rung | None:
    """One rung above the stated one, at the same latency: twice the inferences, the hop turned into lookahead.

    >>> from audio_pipeline.models.separation.catalogue import SPLEETER_2STEMS
    >>> trial_rung(SPLEETER_2STEMS, SeparatorSettings("balanced", hop=4))
    Rung(window=128, lookahead=5, hop=2)
    """
    window, lookahead, hop = top_rung(spec, settings)
    if spec.stateful or not spec.mode(settings.mode).sliding or hop == 1:
        return None
    return Rung(window, lookahead + hop - hop // 2, hop // 2)


def ladder_latency(spec: ModelSpec, settings: SeparatorSettings) -> Latency:
    """The latency of every rung, by the terms of the one that puts out most at once.

    >>> from audio_pipeline.models.separation.catalogue import SPLEETER_2STEMS
    >>> ladder_latency(SPLEETER_2STEMS, SeparatorSettings("balanced", hop=2))
    Latency(window=4096, lookahead=1024, hop=3072)
    """
    last, stft = ladder_rungs(spec, settings)[-1], spec.stft
    return Latency(stft.frame, last.lookahead * stft.hop, (last.hop - 1) * stft.hop)


class Grid:
    """Hands out windows in their order. `rung` may be changed between two of them."""

    def __init__(self, spec: ModelSpec, settings: SeparatorSettings) -> None:
        self._spec, self._sliding = spec, spec.mode(settings.mode).sliding
        self.rung = top_rung(spec, settings)
        self._widest = self.rung.window
        self.reset()

    def reset(self) -> None:
        """Starts again at frame 0; the rung stays."""
        self._index = 0
        self._last, self._hop = -1, self.rung.hop  # of the window before
        self._final = -self.rung.lookahead

    @property
    def reached(self) -> int:
        """Samples before this one are final, or will be with the windows handed out."""
        return self._samples(self._final)

    def ready(self, frames: int, *, ended: bool) -> bool:
        """Whether the next window is complete, of a stream of which `frames` are known."""
        return ended or frames > self._last + self._hop

    def advance(self, frames: int, *, ended: bool) -> Cut:
        """The next window; at the end of a sliding stream the last one ends with its last frame."""
        last, rung = self._last + self._hop, self.rung
        closing = ended and self._sliding and not self._spec.stateful and last >= frames
        last = frames - 1 if closing else last
        final = min(last + 1 - (0 if closing else rung.lookahead), frames)
        span = rung.window if self._sliding else rung.hop
        newest = span - rung.lookahead if self._spec.stateful else span
        wanted = span - rung.hop - rung.lookahead - self._spec.revised if self._sliding else 0
        cut = Cut(
            self._index,
            last + 1 - span,
            last,
            range(wanted, newest),
            final,
            self._samples(self._final),
            self._samples(final),
        )
        self._index, self._last, self._hop, self._final = self._index + 1, last, rung.hop, final
        return cut

    def oldest(self, last: int) -> int:
        """The oldest frame that a window after the one that ends with `last` can ask for."""
        return last + 1 - self._widest

    def _samples(self, frames: int) -> int:
        """Samples that are final once so many frames are."""
        return max(0, frames - self._spec.stft.overlap) * self._spec.stft.hop
