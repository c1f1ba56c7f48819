"""A sound card that hears a tone, with a crystal of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.node import Node, Ports
from audio_pipeline.settings import setting


@dataclass(frozen=True)
class Settings:
    device: str = setting("usb", "which device")
    ppm: float = setting(0.0, "by how much it is fast")
    hz: float = setting(440.0, "the tone, as the host's time has it", unit="Hz")


class Card(Node):
    """Sends each block when it is complete by its own clock, and says what that clock reads."""

    Settings = Settings
    PORTS = Ports(inputs=())
    clock_source = True

    @classmethod
    def clock_domain(cls, settings: Settings) -> str | None:
        return settings.device

    def open(self, ctx: Context) -> None:
        self._began_ns: int | None = None
        self._sent = 0
        self._rate = ctx.rate * (1 + self.settings.ppm * 1e-6)
        self._block = ctx.frame_samples
        self._opened_ns = ctx.now_ns()

    def _ns_at(self, samples: int) -> int:
        return (self._began_ns or self._opened_ns) + round(samples / self._rate * 1e9)

    def deadline_ns(self) -> int | None:
        return self._ns_at(self._sent + self._block)

    def poll(self, ctx: Context) -> None:
        if self._began_ns is None:
            self._began_ns = ctx.now_ns()
            self._origin = round(ctx.position_at(self._began_ns))
        while self._ns_at(self._sent + self._block) <= ctx.now_ns():
            times = self._began_ns / 1e9 + np.arange(self._sent, self._sent + self._block) / self._rate
            x = 0.5 * np.sin(2 * np.pi * self.settings.hz * times)
            end_ns = self._ns_at(self._sent + self._block)
            ctx.emit(
                "out", np.repeat(x[:, None], 2, 1).astype(np.float32), self._origin + self._sent, captured_ns=end_ns
            )
            self._sent += self._block
            ctx.publish_clock(self._origin + self._sent, end_ns, self._rate)


NODE = Card
