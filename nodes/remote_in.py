"""Receives an output of a pipeline on another host."""

from __future__ import annotations

from dataclasses import dataclass

from audio_pipeline.context import Context
from audio_pipeline.node import Latency, Node, Ports
from audio_pipeline.settings import setting


@dataclass(frozen=True)
class Settings:
    host: str = setting("localhost", "the other host: studio, or studio:7700")
    port: str = setting("mix.out", "an exported output of that host")
    key: str = setting("", "name of the other host's key in the address book; empty: the host's name")
    own: str = setting("", "name of this host's key, if it has several")
    least_ms: float = setting(0.0, "least delay of the jitter buffer", unit="ms", minimum=0, maximum=2_000)
    most_ms: float = setting(250.0, "its largest delay; later frames are lost", unit="ms", minimum=20, maximum=5_000)
    format: str = setting(
        "f32",
        "format on the network: f32, lossless; s16; opus, for 48 kHz in mono or stereo (96 and 128 kbit/s)",
        choices=("f32", "s16", "opus"),
    )
    channels: int = setting(2, "channels to emit", minimum=1, maximum=32)
    curve: bool = setting(True, "false: without keys and encryption, for loopback addresses only")


class RemoteIn(Node):
    """Receives frames of another host on a timeline of this one, through an adaptive jitter buffer.

    The node opens the connection, encrypted, and reconnects for as long as it takes; nodes of one process share it. The
    buffer's delay follows the measured jitter (`jitter_ms`, `target_ms`, `buffer_ms`), and its speed follows the other
    host's clock by at most 0.2 % (`ppm`). `age_ms` is the time since capture at the other host, by the measured
    `offset_ms` of the two clocks. Counters: `underruns`, `outages`, `concealed_samples`, `held_samples`,
    `late_samples`, `lost_samples`, `skipped_samples`, `reconnects`, `bad`. While the host is unreachable the node emits
    nothing, so its consumers' `on_loss` applies.
    """

    Settings = Settings
    PORTS = Ports(inputs=())

    @classmethod
    def preload(cls, settings: object) -> tuple[str, ...]:
        return ("audio_pipeline.gateway.link", "audio_pipeline.gateway.player")

    def open(self, ctx: Context) -> None:
        from audio_pipeline.gateway.codec import Coding
        from audio_pipeline.gateway.link import RemoteLink
        from audio_pipeline.gateway.player import RemotePlayer
        from audio_pipeline.gateway.remote import find_remote

        wanted = self.settings
        remote = find_remote(wanted.host, wanted.key, wanted.own, curve=wanted.curve)
        self._ctx = ctx
        self._player = RemotePlayer(ctx, wanted.channels, wanted.least_ms, wanted.most_ms)
        port = wanted.port if "." in wanted.port else f"{wanted.port}.out"
        coding = Coding(wanted.format)
        self._link = RemoteLink(remote, port, rate=ctx.rate, channels=wanted.channels, coding=coding)

    def latency(self) -> Latency:
        return Latency()  # what the network takes cannot be stated; `age_ms` shows it

    def deadline_ns(self) -> int | None:
        return self._player.deadline_ns(self._ctx)

    def poll(self, ctx: Context) -> None:
        self._player.poll(ctx, self._link, self._link.offset)
        self._link.report(ctx)

    def close(self) -> None:
        self._link.close()


NODE = RemoteIn
