"""Plays its input on a sound card, which is the graph's clock if there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audio_pipeline.context import Context
from audio_pipeline.errors import DeviceError
from audio_pipeline.frame import Frame
from audio_pipeline.node import Latency, Node, Ports
from audio_pipeline.settings import setting

REPORT_NS = 100_000_000


@dataclass(frozen=True)
class Settings:
    device: str | None = setting(  # a bare `null` in YAML is no text
        "auto", "auto (the default card, or none if there is none), default, null, or a name or number"
    )
    buffer_ms: float = setting(30.0, "tolerance for late frames", unit="ms", minimum=5.0, maximum=1_000.0)
    latency: str = setting("low", "latency requested from the card; high against stutter", choices=("low", "high"))
    channels: int = setting(2, "channels to play", minimum=1, maximum=32)


class Playback(Node):
    """Plays every sample in order, at its position from the first frame on.

    Missing samples fade to silence and back within 10 ms and are counted: `concealed_samples`, `gaps`,
    `longest_gap_samples`, `late_samples`. `xruns` counts drop-outs of the card; samples over full scale are clipped and
    counted as `overs`. `device_delay_ms` is the current delay of the card or its server, which may have grown since the
    latencies were stated. `heard_position` at `heard_at_ns` is the sample that leaves the loudspeaker at that time. The
    output `reference` is the sound as played, for echo cancellers.
    """

    Settings = Settings
    PORTS = Ports(outputs=("reference",))
    continuous = False
    clock_source = True
    audible = True
    hang_s = 1.0  # its loop only hands sound on, and the room is silent meanwhile

    @classmethod
    def preload(cls, settings: Any) -> tuple[str, ...]:
        return ("audio_pipeline.devices.speaker",)

    @classmethod
    def clock_domain(cls, settings: Any) -> str | None:
        name = "default" if settings.device == "auto" else settings.device or "null"
        return None if name == "null" else f"device:{name}"

    @classmethod
    def estimate(cls, settings: Any, rate: int) -> Latency:
        return Latency(window=round(settings.buffer_ms * rate / 1000))

    def latency(self) -> Latency:
        return Latency(window=self._buffer, compute=self._speaker.latency_samples)

    def input_channels(self, port: str) -> int | None:
        return int(self.settings.channels)

    def open(self, ctx: Context) -> None:
        from audio_pipeline.devices.speaker import Speaker

        self._rate, self._live = ctx.rate, ctx.live
        self._buffer = round(self.settings.buffer_ms * ctx.rate / 1000)
        self._speaker = Speaker(ctx.rate, self.settings.channels, ctx.wake)
        self._reported: dict[str, int] = {}
        self._report_ns = ctx.now_ns()
        self._origin: float | None = None  # graph position at the device's first sample
        self._away: Any = None  # where the card has gone: the tries to open it again
        self._start((self.settings.device or "null") if ctx.live else "null", ctx)

    def _start(self, device: str, ctx: Context) -> None:
        from audio_pipeline.devices.speaker import open_speaker

        try:
            silent = open_speaker(self._speaker, device, ctx.frame_samples, self.settings.latency, ctx)
        except DeviceError as error:
            if not ctx.incarnation:
                raise
            self._lose(str(error), ctx)  # it was there when this run began, so it may come back
            return
        if silent:
            ctx.log(f"no sound is played ({silent}); everything else runs as with a sound card")
        self._show(ctx, silent=bool(silent) or device == "null", gone=False)

    def _show(self, ctx: Context, *, silent: bool, gone: bool) -> None:
        ctx.gauge("silent", float(silent))
        ctx.gauge("device_gone", float(gone))

    def _lose(self, why: str, ctx: Context) -> None:
        """The graph's time goes on into nothing, and the card is tried again every second."""
        from audio_pipeline.devices.reopen import Reopening

        device = "default" if self.settings.device == "auto" else str(self.settings.device)
        block, latency = ctx.frame_samples, self.settings.latency
        self._speaker.open_null(block, ctx)
        self._origin = None
        self._away = Reopening(lambda: self._speaker.warm_card(device, block, latency), ctx.wake, ctx.now_ns())
        ctx.log(f"device gone: {why}; silent until it is back")
        ctx.count("device_losses")
        self._show(ctx, silent=True, gone=True)

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        wait_ns = max(ctx.due_ns("in", frame) - ctx.now_ns(), 0) if self._live else 0
        self._speaker.write(frame.position, frame.audio(), self._buffer + round(wait_ns * self._rate / 1e9))

    def deadline_ns(self) -> int | None:
        if not self._live:
            return None
        tick_ns = self._speaker.next_tick_ns
        return self._report_ns if tick_ns is None else min(self._report_ns, tick_ns)

    def poll(self, ctx: Context) -> None:
        if not self._live:
            return
        now = ctx.now_ns()
        if self._speaker.next_tick_ns is not None and now >= self._speaker.next_tick_ns:
            self._speaker.tick()
        while self._speaker.played:
            position, block, host_ns = self._speaker.played.popleft()
            playback_ns = host_ns + round(len(block) * 1e9 / self._rate)
            before = min(max(-position, 0), len(block))  # the silence before the first sample of all
            if before < len(block):
                ctx.emit("reference", block[before:], position + before, captured_ns=playback_ns)
        if now >= self._report_ns:
            self._report_ns = now + REPORT_NS
            self._check(ctx)
            self._publish(ctx)
            self._count(ctx)

    def _check(self, ctx: Context) -> None:
        back = self._away.poll(ctx.now_ns()) if self._away is not None else None
        if back is not None:
            self._speaker.adopt(back)
            self._away, self._origin = None, None
            ctx.log(f"sound output {self.settings.device!r} is back")
            self._show(ctx, silent=False, gone=False)
        if self._speaker.alive:
            return
        self._count(ctx)
        self._speaker.close()
        self._lose(f"sound output {self.settings.device!r} has stopped", ctx)

    def _publish(self, ctx: Context) -> None:
        tick = self._speaker.clock()
        if tick is None:
            return
        if self._origin is None or tick.jumped:  # the graph's time goes on, whatever the device did
            self._origin = ctx.position_at(tick.host_ns) - tick.position
        ctx.publish_clock(self._origin + tick.position, tick.host_ns, tick.rate, discont=tick.jumped)
        at = self._speaker.playback_time
        if at is not None:
            ctx.gauge("heard_position", at.position)
            ctx.gauge("heard_at_ns", at.host_ns)
        ctx.gauge("device_delay_ms", self._speaker.delay_ns / 1e6 if self._speaker.next_tick_ns is None else 0.0)

    def _count(self, ctx: Context) -> None:
        playout, device = self._speaker.playout, self._speaker.device
        totals = {
            "concealed_samples": playout.concealed_samples,
            "gaps": playout.gaps,
            "late_samples": playout.late_samples,
            "skipped_samples": playout.skipped_samples,
            "xruns": device.xruns,
            "overs": device.clipped,
            "stream_opens": self._speaker.stream_opens,
        }
        for name, total in totals.items():
            ctx.count(name, max(total - self._reported.get(name, 0), 0))
        self._reported = totals
        ctx.gauge("longest_gap_samples", playout.longest_gap_samples)

    def reset(self, position: int, reason: str, ctx: Context) -> None:
        self._speaker.cancel()

    def flush(self, ctx: Context) -> None:
        if self._live:
            self._speaker.finish()
            self._count(ctx)

    def close(self) -> None:
        if self._away is not None:
            self._away.close()
        self._speaker.close()


NODE = Playback
