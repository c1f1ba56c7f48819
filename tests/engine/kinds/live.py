"""Noise that comes at its own pace, as from a microphone: it cannot be asked for sooner."""

from __future__ import annotations

from pathlib import Path

from audio_pipeline.registry import load_kind

Noise = load_kind("noise", [Path(__file__).parent])


class Live(Noise):  # type: ignore[misc, valid-type]
    def seekable(self) -> bool:
        return False


NODE = Live
