"""Whose voice is to come out: a few numbers computed once from a clip of the speaker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.dsp.envelope import POINTS, mean_shape
from audio_pipeline.dsp.pitch import PitchSpread
from audio_pipeline.dsp.resample import resampled
from audio_pipeline.errors import ConfigError
from audio_pipeline.models.convert import world
from audio_pipeline.models.hearing import ge2e, speech

if TYPE_CHECKING:
    from audio_pipeline.models.hearing.ge2e import SpeakerEncoder

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

LEAST_S, MOST_S = 2.0, 60.0
LEAST_VOICED = 200  # frames: a second
SHAPE = "shape_{:02d}"


@dataclass(frozen=True, eq=False)
class Target:
    """What the converters need to know of a speaker."""

    pitch: PitchSpread
    shape: Floats  # (64,) of `envelope.mean_shape`: what the vocal tract and the colour are judged by
    embedding: Array  # (256,) by GE2E

    def numbers(self) -> dict[str, float]:
        """All but the embedding, for JSON: what a voice library keeps beside the embedding it has anyway."""
        shape = {SHAPE.format(i): round(float(value), 4) for i, value in enumerate(self.shape)}
        return {"log_f0_mean": round(self.pitch.mean, 5), "log_f0_sd": round(self.pitch.sd, 5), **shape}


def target_from(numbers: Mapping[str, float], embedding: Array) -> Target:
    """The inverse of `Target.numbers`. Raises ValueError naming what is missing or is no number."""
    names = ["log_f0_mean", "log_f0_sd", *(SHAPE.format(i) for i in range(POINTS))]
    bad = [name for name in names if not np.isfinite(numbers.get(name, np.nan))]
    if bad:
        raise ValueError(f"the converter's numbers lack {', '.join(bad[:3])}{' ...' if len(bad) > 3 else ''}")
    mean, sd, *shape = (float(numbers[name]) for name in names)
    return Target(PitchSpread(mean, sd), np.array(shape), embedding)


def target_of(x: Array, rate: int, encoder: SpeakerEncoder | None = None) -> Target:
    """The target that a clip (samples, channels) of one speaker at `rate` Hz describes; its first minute counts.

    Raises ConfigError where too little of it is speech. Pitch is tracked as it is live, so that both sides of the
    match err alike.
    """
    x = x[: round(MOST_S * rate)]
    clip = speech.prepare(x, rate)
    if len(clip) < LEAST_S * speech.RATE:
        raise ConfigError(f"a target needs {LEAST_S:g} s of speech or more, this has {len(clip) / speech.RATE:.1f} s")
    own = resampled(to_channels(x, 1), rate, world.RATE)[:, 0].astype(np.float64)
    frames = world.analysed(own, world.pitch(own))
    voiced = frames.f0 > 0
    if voiced.sum() < LEAST_VOICED:
        raise ConfigError(f"a target needs a second of voiced speech, this has {voiced.sum() * 0.005:.1f} s")
    embedding = (encoder or ge2e.load()).utterance(clip)
    return Target(spread_of(frames.f0), mean_shape(frames.envelope[voiced], world.RATE), embedding)


def spread_of(f0: Floats) -> PitchSpread:
    """The pitch of a whole clip, F0 (frames,) in Hz: outliers by octave errors left out."""
    logs = np.log(f0[f0 > 0])
    kept = logs[np.abs(logs - np.median(logs)) < np.log(1.6)]
    return PitchSpread(float(kept.mean()), float(kept.std()))
