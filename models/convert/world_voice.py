"""A voice turned into another without a network of its own: pitch and formants moved, everything else kept.

Log F0 takes the target's mean and spread, the spectral envelope is warped along frequency (the ratio of the two
vocal tracts), WORLD puts it together. What has no pitch (breath, consonants, silence) stays the speaker's own sound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.envelope import warped
from audio_pipeline.dsp.glide import Glide
from audio_pipeline.dsp.pitch import PitchSpread, PitchStatistics, matched
from audio_pipeline.models.convert import world
from audio_pipeline.models.convert.world import BINS, HOP, RATE, Floats, Frames

Array = NDArray[np.float32]

LOWEST_HZ, HIGHEST_HZ = 55.0, 1_000.0  # of what comes out
GLIDE_S = 0.25
EDGE = 5  # frames at the end of a window whose pitch the next one knows better
FORMANTS = (0.6, 1.7)


class Stretch(NamedTuple):
    """What a window showed for the first time."""

    start: int  # its first sample in the stream, at RATE
    sound: Floats
    f0: Floats  # (frames,)
    envelope: Floats  # (frames, bins)


class WorldConverter:
    """A `blocks.Converter`; its settings may be changed between windows and glide within a quarter second."""

    rate = RATE

    def __init__(
        self,
        target: PitchSpread | None,
        *,
        semitones: float = 0.0,
        formant: float = 1.0,
        on_stretch: Callable[[Stretch], None] = lambda stretch: None,
    ) -> None:
        self.target, self._on_stretch = target, on_stretch
        self.statistics = PitchStatistics()
        self.semitones = Glide(semitones, round(GLIDE_S * RATE))
        self.log_formant = Glide(float(np.log(formant)), round(GLIDE_S * RATE))
        self._colours = (np.zeros(BINS), np.zeros(BINS))  # from one to the other
        self._blend = Glide(0.0, round(GLIDE_S * RATE))
        self.f0_hz = 0.0  # median of the newest window that had pitch, as it came in
        self.reset()

    def reset(self) -> None:
        """A new stream of the same speaker: what is known of the voice stays."""
        self._known = 0  # samples of the stream that were analysed already
        self._newest: Frames | None = None  # of the window that begins at _newest_start
        self._newest_start = 0

    def shift(self, semitones: float) -> None:
        """Another manual offset of pitch, from the next window on."""
        self.semitones.set(semitones, self._known)

    def warp(self, formant: float) -> None:
        """Another formant factor, from the next window on."""
        self.log_formant.set(float(np.log(np.clip(formant, *FORMANTS))), self._known)

    @property
    def formant(self) -> float:
        """The factor it has or is heading for."""
        return float(np.exp(self.log_formant.target))

    def colour(self, log_power: Floats) -> None:
        """Another colour (bins,), from the next window on."""
        place = np.asarray(self._known)
        self._colours = (self._colours[0] + (self._colours[1] - self._colours[0]) * self._blend.at(place), log_power)
        self._blend = Glide(0.0, round(GLIDE_S * RATE))
        self._blend.set(1.0, self._known)

    def _colour_at(self, places: NDArray[np.int64]) -> Floats | None:
        old, new = self._colours
        if not np.any(old) and not np.any(new):
            return None
        return np.asarray(old + (new - old) * self._blend.at(places)[:, None])

    def convert(self, x: Array, start: int) -> Array:
        """See `blocks.Converter`."""
        if not np.any(x):
            return x
        sound = x.astype(np.float64)
        frames = world.analysed(sound, world.pitch(sound), self._overlap(start))
        self._newest, self._newest_start = frames, start
        self._learn(sound, frames, start)
        places = start + np.arange(len(frames.f0)) * HOP
        spread = self.statistics.spread
        f0 = frames.f0 if self.target is None else matched(frames.f0, spread, self.target)
        f0 = f0 * 2 ** (self.semitones.at(places) / 12)
        return moved(sound, frames, f0, np.exp(self.log_formant.at(places)), self._colour_at(places))

    def _overlap(self, start: int) -> Frames | None:
        """Frames of the window before that a window at `start` has too: most of it, as windows overlap."""
        if self._newest is None or start < self._newest_start or (start - self._newest_start) % HOP:
            return None
        shared = slice((start - self._newest_start) // HOP, max(len(self._newest.f0) - EDGE, 0))
        return Frames(*(part[shared] for part in (self._newest.f0, self._newest.envelope, self._newest.aperiodicity)))

    def _learn(self, sound: Floats, frames: Frames, start: int) -> None:
        """Takes note of what no window showed before."""
        first = max(-(-(self._known - start) // HOP), 0)
        last = len(frames.f0) - EDGE
        if last <= first:
            return
        new = slice(first, last)
        self._known = start + last * HOP
        self.statistics.add(frames.f0[new])
        voiced = frames.f0[new][frames.f0[new] > 0]
        self.f0_hz = float(np.median(voiced)) if len(voiced) else self.f0_hz
        stretch = sound[first * HOP : last * HOP]
        self._on_stretch(Stretch(start + first * HOP, stretch, frames.f0[new], frames.envelope[new]))


def moved(x: Floats, frames: Frames, f0: Floats, formant: Floats, colour: Floats | None = None) -> Array:
    """x (samples,) with another F0 and formants times `formant`, both (frames,), where it has pitch.

    `colour` (bins,) or (frames, bins) is added to the log power of the envelope.
    """
    voiced = frames.f0 > 0
    wanted = np.where(voiced, np.clip(f0, LOWEST_HZ, HIGHEST_HZ), 0.0)
    envelope = warped(frames.envelope, formant, colour)
    y = world.synthesised(Frames(wanted, envelope, frames.aperiodicity), len(x))
    share = np.interp(np.arange(len(x)), np.arange(len(f0)) * HOP, voiced.astype(np.float64))
    return (x + (y - x) * share).astype(np.float32)
