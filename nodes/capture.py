"""Records a sound card: microphone or line-in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from audio_pipeline.errors import DeviceError
from audio_pipeline.node import Context, Latency, Node, Ports
from audio_pipeline.settings import setting

REPORT_NS = 100_000_000


@dataclass(frozen=True)
class Settings:
    device: str = setting("default", "default, or a card's name or number")
    latency: str = setting("low", "what to ask of the card; high where it stutters", choices=("low", "high"))
    channels: int = setting(
        2, "channels to record, fewer where the card has fewer", minimum=1, maximum=32
    )


class Capture(Node):
    """Sends what a microphone hears, each frame stamped with the time at which it was at the converter.

    Positions begin where the graph's clock stands at the first sample, then samples are counted. Where the card
    lost some (counted as `xruns`) the position jumps, and the next frame carries DISCONTINUITY.
    """

    Settings = Settings
    PORTS = Ports(inputs=())
    clock_source = True

    @classmethod
    def clock_domain(cls, settings: Any) -> str | None:
        return f"device:{settings.device}"

    def open(self, ctx: Context) -> None:
        from audio_pipeline.io.microphone import Microphone

        self._microphone = Microphone(
            self.settings.device, ctx.rate, self.settings.channels, ctx.frame_samples, self.settings.latency,
            ctx.wake, ctx,
        )  # fmt: skip
        self._report_ns = ctx.now_ns()
        self._xruns = 0
        self._origin: float | None = None  # graph position at the device's first sample

    def latency(self) -> Latency:
        return Latency(compute=self._microphone.latency_samples)

    def deadline_ns(self) -> int | None:
        return self._report_ns

    def poll(self, ctx: Context) -> None:
        for position, data, captured_ns in self._microphone.take(ctx.position_at):
            ctx.emit("out", data, position, captured_ns=captured_ns)
        if ctx.now_ns() >= self._report_ns:
            self._report_ns = ctx.now_ns() + REPORT_NS
            self._report(ctx)

    def _report(self, ctx: Context) -> None:
        device = self._microphone.device
        ctx.count("xruns", device.xruns - self._xruns)
        self._xruns = device.xruns
        if not device.active:
            raise DeviceError(f"sound input {self.settings.device!r} has stopped: was it pulled out?")
        tick = self._microphone.clock()
        if tick is not None:
            if self._origin is None or tick.jumped:  # the graph's time goes on, whatever the device did
                self._origin = ctx.position_at(tick.host_ns) - tick.position
            ctx.publish_clock(self._origin + tick.position, tick.host_ns, tick.rate, discont=tick.jumped)

    def close(self) -> None:
        self._microphone.close()


NODE = Capture
