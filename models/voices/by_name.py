"""Voices by name: `light`, one of Kokoro's, one that was enrolled on this host, or `xtts:` and one of XTTS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.models.speech.engine import Engine

if TYPE_CHECKING:
    from audio_pipeline.models.voices.record import Voice

LIGHT, XTTS = "light", "xtts"


def open_voice(name: str, *, speed: float = 1.0, threads: int = 0, device: str = "cpu") -> Engine:
    """The engine that speaks with this voice. Raises ConfigError naming the voices that are here.

    An enrolled voice goes before a stock voice of its name. It speaks only with its speaker's consent, unless the
    host's policy asks for none.
    """
    if name == LIGHT:
        from audio_pipeline.models.speech.light_voice import LightVoice

        return LightVoice(speed)  # faster than a GPU is asked
    if name.partition(":")[0] == XTTS:
        from audio_pipeline.models.speech.coqui import import_coqui

        import_coqui()  # before torch, which may be missing too: its error says how to install both
        from audio_pipeline.models.voices.xtts_voices import open_xtts

        return open_xtts(name, speed=speed, threads=threads, device=device)
    from audio_pipeline.models.speech import kokoro

    enrolled = enrolled_voice(name)
    if enrolled is not None:
        model = kokoro.load(threads, device)
        record = enrolled.record
        return kokoro.KokoroVoice(model, enrolled.pack, speed=speed * record.speed, british=record.british)
    _check_known(name)
    pack = kokoro.load_pack(name)
    return kokoro.KokoroVoice(kokoro.load(threads, device), pack, speed=speed, british=name.startswith("b"))


def enrolled_voice(name: str) -> Voice | None:
    """The enrolled voice of this name, if there is one and it may be used. Raises ConfigError where it may not."""
    from audio_pipeline.models.voices.enrolled import Library

    library = Library()
    if name not in library:
        return None
    voice = library.voice(name)
    check_consent(voice)
    return voice


def enrolled_sample(name: str) -> tuple[bytes, Path] | None:
    """The FLAC that an enrolled voice was made from, for engines of other kinds, and a folder (0700 if they make it)
    for what they compute from it, which is deleted with the voice. None where no voice of this name was enrolled, or
    its sample was not kept. Raises ConfigError where the voice may not be used."""
    from audio_pipeline.models.voices.enrolled import Library

    if enrolled_voice(name) is None:
        return None
    library = Library()
    sample = library.sample(name)
    return None if sample is None else (sample, library.cache_folder(name))


def check_consent(voice: Voice) -> None:
    """Raises ConfigError where nobody said that the speaker agrees, and this host asks for that."""
    from audio_pipeline.models.voices.policy import read_policy

    if voice.record.consent is None and read_policy().consent:
        raise ConfigError(
            f"voice {voice.name!r} has no consent of its speaker, so it cannot be used; "
            "enrol it again with --consent, see docs/voices.md"
        )


def voice_names() -> list[str]:
    """Every voice that can be named here: light, the stock voices that are here, the enrolled ones."""
    from audio_pipeline.models.speech import kokoro
    from audio_pipeline.models.voices.enrolled import Library

    return [LIGHT, *kokoro.voice_names(), *Library().names()]


def _check_known(name: str) -> None:
    """Before any weights are loaded; where those of Kokoro are not here yet, its voices are known once they are."""
    from audio_pipeline.models.speech import kokoro

    known = voice_names()
    if kokoro.voice_names() and name not in known:
        raise ConfigError(f"voice: unknown {name!r}{nearest(name, known)}; here are {', '.join(known)}")
