"""What people hear: a device with a clock of its own."""

from __future__ import annotations

from dataclasses import dataclass

from audio_pipeline.node import Node, Ports
from audio_pipeline.settings import setting


@dataclass(frozen=True)
class Settings:
    device: str = setting("default", "which device")
    gain_db: float = setting(0.0, "level", unit="dB", maximum=24, live=True)


class Speaker(Node):
    Settings = Settings
    PORTS = Ports(outputs=())
    clock_source = True
    audible = True

    @classmethod
    def clock_domain(cls, settings: Settings) -> str | None:
        return settings.device


NODE = Speaker
