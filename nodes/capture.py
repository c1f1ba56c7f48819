"""Records a sound card: microphone or line-in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.dsp.seam import Seam
from audio_pipeline.errors import DeviceError
from audio_pipeline.frame import Flag
from audio_pipeline.node import Latency, Node, Ports
from audio_pipeline.settings import setting

if TYPE_CHECKING:
    from audio_pipeline.devices.microphone import Block, Microphone
    from audio_pipeline.devices.reopen import Reopening

REPORT_NS = 100_000_000
FADE_MS = 5
BURST_FRAMES = 4
BURST_NS = 2_000_000


@dataclass(frozen=True)
class Settings:
    device: str = setting("default", "default, or a card's name or number")
    latency: str = setting("low", "latency requested from the card; high against stutter", choices=("low", "high"))
    channels: int = setting(2, "channels to record, fewer if the card has fewer", minimum=1, maximum=32)


class Capture(Node):
    """Emits the sound of a microphone or line-in, each frame stamped with its time at the converter.

    The first position is that of the graph's clock at the first sample; from there samples are counted. When the card
    loses samples (`xruns`), the last ones fade out and the next fade in, within 5 ms, marked CONCEALED and counted as
    `concealed_samples`; after more than a second the position jumps. While a card is missing (`device_gone`), the node
    emits silence at the pace of the clock and retries the card every second.
    """

    Settings = Settings
    PORTS = Ports(inputs=())
    clock_source = True

    @classmethod
    def clock_domain(cls, settings: Any) -> str | None:
        return f"device:{settings.device}"

    def open(self, ctx: Context) -> None:
        from audio_pipeline.devices.microphone import Microphone, open_again

        wanted = (
            self.settings.device,
            ctx.rate,
            self.settings.channels,
            ctx.frame_samples,
            self.settings.latency,
            ctx.wake,
            ctx,
        )
        self._open_again = lambda: open_again(*wanted)
        self._frame_ns = round(ctx.frame_samples * 1e9 / ctx.rate)
        self._report_ns = self._silent_ns = ctx.now_ns()
        self._end: int | None = None  # position behind what was sent
        self._latency, self._channels = 0, int(self.settings.channels)
        self._seam: Seam | None = None
        self._microphone: Microphone | None = None
        self._away: Reopening[Microphone] | None = None
        try:
            self._use(Microphone(*wanted), ctx)
        except DeviceError as error:
            if not ctx.incarnation:
                raise
            self._lose(str(error), ctx)  # it was there when this run began, so it may come back

    def _use(self, microphone: Microphone, ctx: Context) -> None:
        self._microphone, self._away = microphone, None
        self._latency, self._channels = microphone.latency_samples, microphone.device.channels
        self._xruns = self._concealed = 0
        self._origin: float | None = None  # graph position at the device's first sample
        ctx.gauge("device_gone", 0.0)

    def _lose(self, why: str, ctx: Context) -> None:
        from audio_pipeline.devices.reopen import Reopening

        self.close()
        self._microphone = None
        self._away = Reopening(self._open_again, ctx.wake, ctx.now_ns())
        ctx.log(f"device gone: {why}; silent until it is back")
        ctx.count("device_losses")
        ctx.gauge("device_gone", 1.0)

    def latency(self) -> Latency:
        return Latency(compute=self._latency if self._microphone else 0)

    def deadline_ns(self) -> int | None:
        return self._report_ns if self._away is None else min(self._report_ns, self._silent_ns)

    def poll(self, ctx: Context) -> None:
        if self._microphone is not None:
            for block in self._microphone.take(ctx.position_at):
                self._send(block, ctx)
        else:
            self._be_silent(ctx)
        if ctx.now_ns() >= self._report_ns:
            self._report_ns = ctx.now_ns() + REPORT_NS
            self._report(ctx)

    def _send(self, block: Block, ctx: Context) -> None:
        """Between two cards there may be a hole, which silence fills, or an overlap, which is left out."""
        data, hole = block.data, 0 if self._end is None else block.position - self._end
        if hole < 0:
            data = data[-hole:]
        if self._seam is None or self._seam.channels != data.shape[1]:
            self._seam = Seam(data.shape[1], ctx.rate * FADE_MS // 1000)
        if 0 < hole <= ctx.rate:
            concealed, data = self._seam.join(hole, data)
            until_ns = block.captured_ns - round(len(data) / ctx.rate * 1e9)
            ctx.emit("out", concealed, block.position - hole, captured_ns=until_ns, flags=Flag.CONCEALED)
        elif len(data):
            self._seam.process(data)
        flags = Flag.CONCEALED if block.concealed else Flag.NONE
        if len(data):
            ctx.emit("out", data, block.position + max(-hole, 0), captured_ns=block.captured_ns, flags=flags)
            self._end = block.position + len(block.data)

    def _be_silent(self, ctx: Context) -> None:
        """Frame by frame, as far behind the clock as the card was, so that what it sends next joins on."""
        now = ctx.now_ns()
        until = round(ctx.position_at(now)) - self._latency - ctx.frame_samples if self._end is not None else 0
        behind = until - self._end if self._end is not None else 0
        samples = min(behind, BURST_FRAMES * ctx.frame_samples)  # no more than a link takes at once
        self._silent_ns = now + (self._frame_ns if samples == behind else BURST_NS)
        if self._end is None:
            self._end = max(round(ctx.position_at(now)), 0)
        elif samples >= ctx.frame_samples:
            seam = self._seam or Seam(self._channels, 1)
            concealed, _ = seam.join(samples, np.zeros((0, self._channels), np.float32))
            ctx.emit("out", seam.process(concealed), self._end, captured_ns=now)
            self._end += samples

    def _report(self, ctx: Context) -> None:
        if self._microphone is None:
            back = self._away.poll(ctx.now_ns()) if self._away is not None else None
            if back is not None:
                self._use(back, ctx)
                ctx.log(f"sound input {self.settings.device!r} is back")
            return
        device = self._microphone.device
        ctx.count("xruns", device.xruns - self._xruns)
        ctx.count("concealed_samples", self._microphone.concealed_samples - self._concealed)
        self._xruns, self._concealed = device.xruns, self._microphone.concealed_samples
        if not device.active:
            self._lose(f"sound input {self.settings.device!r} has stopped", ctx)
            return
        tick = self._microphone.clock()
        if tick is not None:
            if self._origin is None or tick.jumped:  # the graph's time goes on, whatever the device did
                self._origin = ctx.position_at(tick.host_ns) - tick.position
            ctx.publish_clock(self._origin + tick.position, tick.host_ns, tick.rate, discont=tick.jumped)

    def close(self) -> None:
        for opened in (self._microphone, self._away):
            if opened is not None:
                opened.close()


NODE = Capture
