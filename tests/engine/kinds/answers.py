"""A source that hears events: a sample as loud as the event's place in the row, one for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.frame import Samples
from audio_pipeline.node import Ports, Source


class Answers(Source):
    """Live silence goes on; offline it answers when all events are there, and ends."""

    PORTS = Ports(inputs=(), event_inputs=("beats",))
    commands = ("cancel",)

    def open(self, ctx: Context) -> None:
        self.heard: list[int] = []
        self.over = False

    def on_event(self, port: str, event: Mapping[str, Any], position: int, ctx: Context) -> None:
        self.heard.append(position)
        ctx.count("heard")

    def on_events_end(self, port: str, ctx: Context) -> None:
        self.over = True

    def on_command(self, name: str, args: Mapping[str, Any], ctx: Context) -> str:
        ctx.count("cancels")
        return name

    def blocks(self, ctx: Context) -> Iterator[Samples | int]:
        while ctx.live:
            yield ctx.frame_samples
        while not self.over:
            yield 0
        for number in range(len(self.heard)):
            yield np.full((1, 2), (number + 1) / 100, np.float32)


NODE = Answers
