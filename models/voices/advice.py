"""What a recording is good for as a sample of a voice, in sentences, and what to do about each lack.

The bounds are measured on eight readers, alone, under music and noise, and in pairs (benchmarks/voice_samples.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from audio_pipeline.models.voices.record import Sample

GOOD, FAIR, POOR, REFUSED = "good", "fair", "poor", "refused"

LEAST_S, ENOUGH_S = 1.6, 6.0  # of speech: one look of the encoder; ten seconds with their pauses
NOISY_DB, QUIET_DB = 10.0, 18.0
SILENT_DB = 25.0  # of speech over its pauses: nothing plays under it
MUSIC_DB = -12.0  # accompaniment over voice from which on it is more than what the separator makes of bare speech
ONLY_MUSIC_DB = 20.0  # from which on there is no voice to speak of
TELEPHONE_HZ, WIDE_HZ = 4_200.0, 7_000.0
CLIPPED_SHARE = 0.0005  # of the time


@dataclass(frozen=True)
class Finding:
    """One thing about a sample: `level` is good, fair, poor or refused."""

    level: str
    what: str
    measured: str
    advice: str = ""
    forcible: bool = False  # whether --force goes on in spite of it


def refusals(sample: Sample) -> list[Finding]:
    """Why no voice can be made from it."""
    return [finding for finding in findings(sample) if finding.level == REFUSED]


def findings(sample: Sample) -> list[Finding]:
    """Everything there is to say about a sample, what keeps it from being used first."""
    return sorted(_all(sample), key=_rank)


def _rank(finding: Finding) -> int:
    """Where nothing but music is left, that is why there is no speech."""
    return 2 if finding.level != REFUSED else int(finding.what == "length")


def _all(sample: Sample) -> Iterator[Finding]:
    yield _length(sample)
    yield _music(sample)
    yield _voices(sample)
    if sample.made:
        advice = "A made voice cannot agree: record the person, or add --force."
        yield Finding(REFUSED, "origin", "it carries the mark of made speech", advice, forcible=True)
    yield _noise(sample)
    yield _clipping(sample)
    yield _bandwidth(sample)


def _length(sample: Sample) -> Finding:
    measured = f"{sample.speech_s:.1f} s of speech in {sample.seconds:.1f} s"
    if sample.speech_s < LEAST_S:
        return Finding(REFUSED, "length", measured, f"Expected {LEAST_S:g} s of speech or more; ten seconds are good.")
    if sample.speech_s < ENOUGH_S:
        return Finding(FAIR, "length", measured, "Ten seconds of talking make a steadier voice.")
    return Finding(GOOD, "length", measured)


def _music(sample: Sample) -> Finding:
    if sample.music_db is None:
        quiet = sample.snr_db >= SILENT_DB
        return Finding(GOOD, "music", "none: the pauses are quiet" if quiet else "not checked")
    if sample.music_db > ONLY_MUSIC_DB:
        advice = "Without its music or noise no voice is left: use a recording of a speaker."
        return Finding(REFUSED, "music", "only music or noise", advice)
    if sample.separated:
        measured = f"{sample.music_db:+.0f} dB beside the voice, taken away by the separator"
        return Finding(FAIR, "music", measured, "What is left of it colours the voice: speech without music is better.")
    return Finding(GOOD, "music", "none to speak of")


def _voices(sample: Sample) -> Finding:
    if not sample.second_voice:
        return Finding(GOOD, "voices", "one")
    if sample.separated:  # a singer's registers differ more than a talker's moods
        measured = "in a song two cannot be told from one that changes"
        return Finding(FAIR, "voices", measured, "Make sure that only one person sings.")
    advice = "Cut out a stretch with only one speaker, or add --force to accept both as one."
    return Finding(REFUSED, "voices", "a second voice takes over in it", advice, forcible=True)


def _noise(sample: Sample) -> Finding:
    measured = f"{sample.snr_db:.0f} dB over the pauses"
    if sample.snr_db < NOISY_DB:
        return Finding(POOR, "noise", measured, "Record in a quieter room, closer to the microphone.")
    if sample.snr_db < QUIET_DB:
        return Finding(FAIR, "noise", measured, "A quieter room, or a hand's width from the microphone, does better.")
    return Finding(GOOD, "noise", measured)


def _clipping(sample: Sample) -> Finding:
    if sample.clipped_ms > CLIPPED_SHARE * sample.seconds * 1000:
        measured = f"for {sample.clipped_ms:.0f} ms the sound is at the end of the scale"
        return Finding(POOR, "clipping", measured, "Turn the input down and record again.")
    return Finding(GOOD, "clipping", "none")


def _bandwidth(sample: Sample) -> Finding:
    measured = f"up to {sample.bandwidth_hz / 1000:.1f} kHz"
    if sample.bandwidth_hz < TELEPHONE_HZ:
        return Finding(POOR, "bandwidth", measured, "It sounds like a telephone: record with a microphone of its own.")
    if sample.bandwidth_hz < WIDE_HZ:
        return Finding(FAIR, "bandwidth", measured, "Something cut the treble off: a headset's radio, or a small file.")
    return Finding(GOOD, "bandwidth", measured)
