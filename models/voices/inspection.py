"""Looks at a recording before a voice is made from it, and takes the music away where there is some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_pipeline.dsp.leveller import levelled
from audio_pipeline.dsp.mono import mono as mono_of
from audio_pipeline.dsp.normalise import NormaliserSettings
from audio_pipeline.dsp.resample import resampled
from audio_pipeline.dsp.sample_quality import bandwidth_hz, clipped_ms, snr_db
from audio_pipeline.errors import MediaError, WeightsError
from audio_pipeline.models.hearing import ge2e, speech
from audio_pipeline.models.hearing.ge2e_stream import VoiceTracker
from audio_pipeline.models.hearing.speech import RATE
from audio_pipeline.models.voices.advice import MUSIC_DB, SILENT_DB
from audio_pipeline.models.voices.record import Sample

Array = np.ndarray[Any, np.dtype[np.float32]]
Separate = Callable[[Array, int], tuple[Array, Array]]  # mono sound and its rate -> voice, accompaniment at that rate

SILENT = 1e-4  # -80 dBFS
EVERY_S = (0.5, 1.0)  # quick turns are found by one, long ones by the other
MOST_S = 120.0  # of a recording that is looked at


@dataclass(frozen=True, eq=False)
class Inspected:
    """A recording and what is known of it; `x` (samples,) is the voice alone where music was taken away."""

    x: Array
    rate: int
    sample: Sample


def inspect(
    x: Array, rate: int, digest: str, *, encoder: ge2e.SpeakerEncoder | None = None, separate: Separate | None = None
) -> Inspected:
    """Measures a clip (samples, channels) whose file has the SHA-256 `digest`; of a long one the first two minutes.

    Raises MediaError where there is no sound in it. Everything else is for `advice` to judge.
    """
    mono = mono_of(x[: round(MOST_S * rate)], rate)[0][:, 0]
    if not np.all(np.isfinite(mono)):
        raise MediaError("the sample holds numbers that are no sound")
    if np.max(np.abs(mono), initial=0.0) < SILENT:
        raise MediaError("the sample is silent; is the right microphone chosen, and is it switched on?")
    spoken = _spoken(mono, rate)
    snr = snr_db(levelled(mono, speech.COMPARED_DB), rate, spoken)
    voice, music_db = _without_music(mono, rate, separate or separated) if snr < SILENT_DB else (mono, None)
    taken_away = voice is not mono
    low = _at_16k(voice, rate)
    left = _spoken(voice, rate) if taken_away else spoken
    sample = Sample(
        sha256=digest,
        seconds=len(mono) / rate,
        speech_s=float(np.sum(left)) * speech.WINDOW / RATE,
        rate=rate,
        snr_db=snr_db(levelled(voice, speech.COMPARED_DB), rate, left) if taken_away else snr,
        clipped_ms=clipped_ms(mono, rate),
        bandwidth_hz=bandwidth_hz(voice, rate, left),
        music_db=music_db,
        separated=taken_away,
        second_voice=second_voice(low, encoder or ge2e.load()),
        made=is_made(mono, rate),
    )
    return Inspected(voice, rate, sample)


def second_voice(x: Array, encoder: ge2e.SpeakerEncoder) -> bool:
    """Whether another voice takes over somewhere in mono sound (samples,) at 16 kHz."""
    trackers = (VoiceTracker(encoder, every_s=every) for every in EVERY_S)
    return any(comparison.changed for tracker in trackers for comparison in tracker.push(x))


def is_made(x: Array, rate: int) -> bool:
    """Whether mono sound (samples,) carries the mark of made speech; False where the mark's network is not here."""
    from audio_pipeline.models.hearing import mark, perth
    from audio_pipeline.models.weights import store

    if store.locate("perth").folder is None:
        return False
    return mark.sought(perth.load(), x[:, None], rate).marked


def separated(x: Array, rate: int) -> tuple[Array, Array]:
    """Voice and accompaniment of mono sound by Spleeter, which gets it at the level of the music that it knows."""
    from audio_pipeline.models.separation import spleeter, stream

    model = spleeter.load()
    loud = levelled(x, NormaliserSettings().target_db)
    gain = _power(x) ** 0.5 / max(_power(loud) ** 0.5, 1e-12)
    both = np.repeat(resampled(loud[:, None], rate, model.spec.rate), 2, axis=1)
    stems = stream.separate(model, both)
    voice, rest = (
        resampled(stems[name][:, :1], model.spec.rate, rate)[:, 0] * np.float32(gain)
        for name in ("vocals", "accompaniment")
    )
    return voice, rest


def _without_music(x: Array, rate: int, separate: Separate) -> tuple[Array, float | None]:
    """The voice where there is much beside it, else x itself; and how much that is. Nothing where no model is here."""
    try:
        voice, rest = separate(x, rate)
    except WeightsError:
        return x, None
    least = 1e-12 * _power(x)  # -120 dB of the whole: no level decides
    music_db = float(10 * np.log10((_power(rest) + least) / (_power(voice) + least)))
    return (voice if music_db > MUSIC_DB else x), music_db


def _power(x: Array) -> float:
    return float(np.mean(np.square(x, dtype=np.float64))) if len(x) else 0.0


def _at_16k(x: Array, rate: int) -> Array:
    found: Array = resampled(x[:, None], rate, RATE)[:, 0]
    return found


def _spoken(x: Array, rate: int) -> Any:
    return speech.speech_windows(levelled(_at_16k(x, rate), speech.COMPARED_DB))
