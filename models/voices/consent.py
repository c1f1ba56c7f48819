"""That somebody agreed to be imitated: a sentence that is typed, or one read aloud in the voice of the sample."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from audio_pipeline.errors import ConfigError
from audio_pipeline.models.voices import files
from audio_pipeline.models.voices.names import checked_name
from audio_pipeline.models.voices.record import Consent

OWN = "I, {speaker}, agree that a synthetic version of my voice is made from this recording and used on this computer."
GIVEN = (
    "I have the permission of {speaker} to make a synthetic version of their voice from this recording and to use it "
    "on this computer."
)
ALIKE = 0.75  # GE2E of the proof to the sample: two clips of one person; different ones stay below 0.7
READ = "I agree that this computer speaks with my voice. The words of today are {words}."
WORDS = (
    "amber anchor apple autumn basket beacon bicycle blanket bottle bridge butter button camera candle canyon "
    "carpet castle cherry circle cotton desert dolphin dragon engine feather finger forest garden ginger guitar "
    "hammer harbour honey island jacket jungle kettle ladder lantern lemon magnet marble meadow mirror monkey "
    "mountain needle nickel olive orange orchid paper pebble pencil pepper piano pillow pocket purple quarry "
    "rabbit ribbon river rocket saddle salmon shadow silver spider spring summer sunset table temple thunder "
    "ticket timber tunnel turtle valley velvet violet waffle walnut water whisper window winter yellow zebra "
).split()
WORDS_READ = 5
SENTENCE = ".sentence"
PLACEHOLDER = "NAME"  # as the help has it
HOW = (
    "a voice is made only with its speaker's consent: add --consent \"I, NAME, agree that a synthetic version of my "
    'voice is made from this recording and used on this computer.", or --prove to read a sentence aloud'
)


def attested(text: str, digest: str, now: str) -> Consent:
    """Consent out of what somebody typed about the recording of SHA-256 `digest`. Raises ConfigError."""
    sentence = " ".join(text.split())
    for template in (OWN, GIVEN):
        before, after = (re.escape(part) for part in template.rstrip(".").split("{speaker}"))
        match = re.fullmatch(f"{before}(.+){after}\\.?", sentence, re.IGNORECASE)
        if match:
            speaker = checked_name(match[1])
            if speaker.upper() == PLACEHOLDER:
                raise ConfigError(f"--consent: put the speaker's name in the place of {PLACEHOLDER}")
            return Consent("attested", speaker, template.format(speaker=speaker), now, digest)
    raise ConfigError(f"--consent: expected {OWN.format(speaker='NAME')!r}, or {GIVEN.format(speaker='NAME')!r}")


def new_sentence() -> str:
    """One that nobody has recorded before: five of about a hundred words, drawn by chance."""
    words = secrets.SystemRandom().sample(WORDS, WORDS_READ)
    return READ.format(words=f"{', '.join(words[:-1])} and {words[-1]}")


@dataclass(frozen=True)
class Proof:
    """A recording of somebody who read a sentence aloud."""

    sentence: str
    sha256: str
    likeness: float  # GE2E to the sample
    copied: bool = False  # whether it holds a part of the sample itself


def spoken(speaker: str, proof: Proof, digest: str, now: str) -> Consent:
    """Consent by a recording in which the voice of the sample reads the sentence. Raises ConfigError.

    The words themselves are not checked: there is no recogniser here.
    """
    if proof.sha256 == digest or proof.copied:
        raise ConfigError("the proof is the sample itself, or holds a part of it; it has to be a recording of its own")
    if proof.likeness < ALIKE:
        raise ConfigError(
            f"the voice that reads the sentence is not that of the sample: likeness {proof.likeness:.2f}, "
            f"expected {ALIKE} or more"
        )
    name = checked_name(speaker)
    return Consent(
        "spoken", name, OWN.format(speaker=name), now, digest, proof.sentence, proof.sha256, round(proof.likeness, 4)
    )


def keep_sentence(folder: Path) -> str:
    """A new sentence, remembered until it is used: for a recording that is made elsewhere."""
    sentence = new_sentence()
    with files.writing(folder):
        files.write(folder / SENTENCE, json.dumps(sentence).encode())
    return sentence


def kept_sentence(folder: Path) -> str:
    """The sentence that somebody was told to read. Raises ConfigError where there is none."""
    try:
        found = json.loads(files.read(folder / SENTENCE, 1000))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, str):
        raise ConfigError("--proof: no sentence was issued; get one with: audio-pipeline voices sentence")
    return found


def use_sentence(folder: Path, sentence: str) -> None:
    """Forgets the sentence: it proves one voice. Raises ConfigError where another process used it meanwhile."""
    with files.writing(folder):
        if kept_sentence(folder) != sentence:
            raise ConfigError("--proof: another sentence was issued meanwhile; record that one")
        (folder / SENTENCE).unlink()


def digest_of(parts: Iterable[bytes]) -> str:
    """SHA-256 of parts behind one another; of one file what `sha256sum` says."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
