"""Voices by name: `light`, one of Kokoro's, or `xtts:` and one of XTTS."""

from __future__ import annotations

from audio_pipeline.models.speech_engine import Engine

LIGHT, XTTS = "light", "xtts"


def open_voice(name: str, *, speed: float = 1.0, threads: int = 0, device: str = "cpu") -> Engine:
    """The engine that speaks with this voice. Raises ConfigError naming the voices that are here."""
    if name == LIGHT:
        from audio_pipeline.models.light_voice import LightVoice

        return LightVoice(speed)  # faster than a GPU is asked
    if name.partition(":")[0] == XTTS:
        from audio_pipeline.models.coqui import import_coqui

        import_coqui()  # before torch, which may be missing too: its error says how to install both
        from audio_pipeline.models.xtts_voices import open_xtts

        return open_xtts(name, speed=speed, threads=threads, device=device)
    from audio_pipeline.models import kokoro

    pack = kokoro.load_pack(name)
    return kokoro.KokoroVoice(kokoro.load(threads, device), pack, speed=speed, british=name.startswith("b"))
