"""A microphone: it cannot run ahead of its own clock."""

from __future__ import annotations

from dataclasses import dataclass

from audio_pipeline.node import Ports, Source
from audio_pipeline.settings import setting


@dataclass(frozen=True)
class Settings:
    device: str = setting("default", "which device")


class Mic(Source):
    Settings = Settings
    PORTS = Ports(inputs=())
    clock_source = True

    @classmethod
    def clock_domain(cls, settings: Settings) -> str | None:
        return settings.device

    def seekable(self) -> bool:
        return False


NODE = Mic
