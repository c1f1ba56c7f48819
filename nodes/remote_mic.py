"""A source that plays frames from another host."""

from __future__ import annotations

from dataclasses import dataclass

from audio_pipeline.context import Context
from audio_pipeline.node import Latency, Node, Ports
from audio_pipeline.settings import setting


@dataclass(frozen=True)
class Settings:
    least_ms: float = setting(0.0, "least delay of the jitter buffer", unit="ms", minimum=0, maximum=2_000)
    most_ms: float = setting(250.0, "its largest delay; later frames are lost", unit="ms", minimum=20, maximum=5_000)
    channels: int = setting(2, "channels to emit", minimum=1, maximum=32)


class RemoteMic(Node):
    """A live source fed by another host: by a `remote_out` there, or by `audio-pipeline client --mic`.

    It takes one sender at a time and refuses others with the name of the first. Without a sender it is idle, which does
    not count as a loss. The sender connects through this pipeline's `gateway` and needs the role `play`. Gauges and
    counters are those of `remote_in`; `age_ms` counts from the sender's microphone. Inadmissible frames are dropped and
    counted: `dropped_beyond` its window, `dropped_too_long` (longer than a second), `dropped_over_budget` (8 million
    samples x channels a second), `dropped_too_many` (2,000 frames a second), `dropped_format`, `dropped_again`, `bad`.
    """

    Settings = Settings
    PORTS = Ports(inputs=())
    remote_input = True

    @classmethod
    def preload(cls, settings: object) -> tuple[str, ...]:
        return ("audio_pipeline.gateway.feed_port", "audio_pipeline.gateway.player")

    def open(self, ctx: Context) -> None:
        from audio_pipeline.gateway.feed_port import open_feed
        from audio_pipeline.gateway.player import RemotePlayer

        wanted = self.settings
        self._ctx = ctx
        self._player = RemotePlayer(ctx, wanted.channels, wanted.least_ms, wanted.most_ms)
        self._feed = open_feed(ctx.run_folder, ctx.name, rate=ctx.rate, channels=wanted.channels)

    def latency(self) -> Latency:
        return Latency()  # what the network takes cannot be stated; `age_ms` shows it

    def deadline_ns(self) -> int | None:
        return self._player.deadline_ns(self._ctx)

    def poll(self, ctx: Context) -> None:
        self._player.drain(self._feed)
        if not self._feed.connected:
            self._player.rest()
        self._player.poll(ctx, self._feed)
        self._feed.report(ctx)

    def close(self) -> None:
        self._feed.close()


NODE = RemoteMic
