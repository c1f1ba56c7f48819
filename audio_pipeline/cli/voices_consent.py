"""The consent of the speaker, for `voices enrol`: typed, or read aloud."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from audio_pipeline.cli.voices_keep import ask, is_yes, now
from audio_pipeline.cli.voices_sound import Sound, from_files, from_microphone
from audio_pipeline.errors import ConfigError
from audio_pipeline.models.voices import consent as voice_consent
from audio_pipeline.models.voices.consent import GIVEN, HOW, OWN, Proof
from audio_pipeline.models.voices.enrolled import Library
from audio_pipeline.models.voices.names import checked_name
from audio_pipeline.models.voices.policy import read_policy
from audio_pipeline.models.voices.record import Consent
from audio_pipeline.terminal import warn, write

if TYPE_CHECKING:
    from audio_pipeline.models.hearing.ge2e import SpeakerEncoder

PROOF_S = 10.0
LONGEST_PROOF_S = 60.0
AGREED = "I agree"
LEAST_S = 1.6  # of speech in a proof
Array = np.ndarray[Any, np.dtype[np.float32]]


def check_way(args: argparse.Namespace, library: Library) -> None:
    """Before anything is recorded or computed: whether there is a way to a consent. Asks at a terminal."""
    if args.consent:
        voice_consent.attested(args.consent, "", "")
    elif args.proof:
        voice_consent.kept_sentence(library.folder)
    elif not args.prove and read_policy().consent:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise ConfigError(HOW)
        args.consent = _asked()


def consent(
    args: argparse.Namespace, library: Library, embedding: Array, sample: Sound, encoder: SpeakerEncoder
) -> Consent | None:
    """The consent for the sample of this GE2E embedding (256,); None where this host asks for none."""
    if args.consent:
        return voice_consent.attested(args.consent, sample.sha256, now())
    if args.proof:
        sentence = voice_consent.kept_sentence(library.folder)
        given = _spoken(args, sentence, from_files([args.proof]), embedding, sample, encoder)
        voice_consent.use_sentence(library.folder, sentence)
        return given
    if args.prove:
        sentence = voice_consent.new_sentence()
        warn(f"Read this aloud:\n\n  {sentence}\n")
        sound = from_microphone(args.device, PROOF_S, "the sentence")
        return _spoken(args, sentence, sound, embedding, sample, encoder)
    return None


def sentence(args: argparse.Namespace) -> int:
    """Prints a sentence to be read aloud and recorded elsewhere."""
    write(voice_consent.keep_sentence(Library().folder))
    warn("record it, read by the speaker, and give it to: voices enrol ... --proof FILE")
    return 0


def _asked() -> str:
    """The statement that somebody at the terminal makes. Raises ConfigError where they do not."""
    warn("A voice is made only with its speaker's consent.")
    speaker = checked_name(ask("Whose voice is it? "))
    own = is_yes(ask("Is it your own? [y/n] "))
    statement = (OWN if own else GIVEN).format(speaker=speaker)
    warn(f"\n  {statement}\n")
    if ask(f'Type "{AGREED}" if that is so: ').lower() != AGREED.lower():
        raise ConfigError("no consent was given, so no voice was made")
    return statement


def _spoken(
    args: argparse.Namespace, sentence: str, sound: Sound, embedding: Array, sample: Sound, encoder: SpeakerEncoder
) -> Consent:
    from audio_pipeline.dsp.same_take import same_take
    from audio_pipeline.models.hearing import ge2e, speech
    from audio_pipeline.models.voices.inspection import MOST_S, is_made
    from audio_pipeline.models.voices.reference import levelled

    if len(sound.x) > LONGEST_PROOF_S * sound.rate:
        raise ConfigError(f"the proof is longer than {LONGEST_PROOF_S:g} s, expected one sentence")
    if is_made(sound.x[:, 0], sound.rate):
        raise ConfigError("the proof carries the mark of made speech: the speaker has to read the sentence")
    spoken = speech.prepare(sound.x, sound.rate)
    if len(spoken) < LEAST_S * speech.RATE:
        found = len(spoken) / speech.RATE
        raise ConfigError(f"the proof holds {found:.1f} s of speech, expected the whole sentence")
    likeness = ge2e.similarity(encoder.utterance(levelled(spoken)), embedding)
    used = sample.x[: round(MOST_S * sample.rate), 0]
    copied = same_take(used, sample.rate, sound.x[:, 0], sound.rate)
    proof = Proof(sentence, sound.sha256, likeness, copied)
    return voice_consent.spoken(args.speaker or args.name, proof, sample.sha256, now())
