"""Hears events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audio_pipeline.context import Context
from audio_pipeline.node import Node, Ports


class Ears(Node):
    PORTS = Ports(outputs=())
    takes_events = True

    def open(self, ctx: Context) -> None:
        self.heard: list[tuple[int, dict[str, Any]]] = []

    def on_event(self, port: str, event: Mapping[str, Any], position: int, ctx: Context) -> None:
        self.heard.append((position, dict(event)))


NODE = Ears
