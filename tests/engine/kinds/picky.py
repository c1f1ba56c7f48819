"""A filter that does not take every value that its settings allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audio_pipeline.context import Context
from audio_pipeline.errors import ConfigError
from audio_pipeline.frame import Samples
from audio_pipeline.node import Filter, Ports
from audio_pipeline.settings import setting


@dataclass(frozen=True)
class Settings:
    voice: str = setting("first", "one that it knows", live=True)
    level: float = setting(0.0, "anything", live=True)
    on: bool = setting(True, "a switch", live=True)


class Picky(Filter):
    Settings = Settings
    PORTS = Ports(event_inputs=("text",))

    def on_param(self, name: str, value: Any, position: int, ctx: Context) -> None:
        if value == "unknown":
            raise ConfigError(f"{self.settings.voice!r} is no voice")
        if value == "broken":
            raise KeyError(value)

    def on_event(self, port: str, event: Mapping[str, Any], position: int, ctx: Context) -> None:
        ctx.count("letters", len(event["text"]))

    def filter(self, x: Samples) -> Samples:
        return x


NODE = Picky
