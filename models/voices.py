"""Voices by name: `light`, or one of Kokoro's."""

from __future__ import annotations

from audio_pipeline.models.speech_engine import Engine

LIGHT = "light"


def open_voice(name: str, *, speed: float = 1.0, threads: int = 0, device: str = "cpu") -> Engine:
    """The engine that speaks with this voice. Raises ConfigError naming the voices that are here."""
    if name == LIGHT:
        from audio_pipeline.models.light_voice import LightVoice

        return LightVoice(speed)  # faster than a GPU is asked
    from audio_pipeline.models import kokoro

    pack = kokoro.load_pack(name)
    return kokoro.KokoroVoice(kokoro.load(threads, device), pack, speed=speed, british=name.startswith("b"))
