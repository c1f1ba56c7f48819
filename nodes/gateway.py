"""Opens the pipeline to other hosts: exported outputs, nodes that take sound, and control, by the role of each key."""

from __future__ import annotations

from dataclasses import dataclass

from audio_pipeline.context import Context
from audio_pipeline.gateway.curve import check_listen
from audio_pipeline.node import Node, Ports
from audio_pipeline.settings import setting

REPORT_NS = 200_000_000


@dataclass(frozen=True)
class Settings:
    listen: str = setting("tcp://127.0.0.1:7700", "address; tcp://0.0.0.0:7700 is all addresses of this host")
    export: tuple[str, ...] = setting((), "outputs open to listeners, such as [mix]; empty: those played at this host")
    key: str = setting("", "name of this host's key, if it has several")
    curve: bool = setting(True, "false: without keys and encryption, for loopback addresses only")

    def __post_init__(self) -> None:
        check_listen(self.listen, curve=self.curve)


class Gateway(Node):
    """The TCP port of this pipeline for other hosts, encrypted and authenticated with CURVE.

    This host's address book (`audio-pipeline keys`) assigns roles: `listen` receives exported outputs and the state,
    `play` also feeds `remote_mic` nodes, `control` also changes settings and transport and may stop the pipeline. The
    gateway never waits for a slow or vanished peer. Each key has at most 16 of 64 sessions (16 are reserved for keys
    that may play or control), 2,000 messages and 20 requests a second. Gauge `connections`; counters `denied`,
    `bad_messages`, `dropped_in`, `over_budget`, and for connections without a handshake `refused`, `evicted`, `silent`,
    `unread`.
    """

    Settings = Settings
    PORTS = Ports(inputs=(), outputs=())
    service = True

    @classmethod
    def preload(cls, settings: object) -> tuple[str, ...]:
        return ("audio_pipeline.gateway.server",)

    def open(self, ctx: Context) -> None:
        from audio_pipeline.gateway.server import open_gateway
        from audio_pipeline.gateway.totals import Totals

        wanted = self.settings
        self._gateway = open_gateway(wanted.listen, ctx.run_folder, wanted.export, own=wanted.key, curve=wanted.curve)
        ctx.log(f"other hosts can connect to {self._gateway.host}:{self._gateway.port}")
        self._report_ns = ctx.now_ns()
        self._totals = Totals()

    def deadline_ns(self) -> int | None:
        return self._report_ns

    def poll(self, ctx: Context) -> None:
        if ctx.now_ns() < self._report_ns:
            return
        self._report_ns = ctx.now_ns() + REPORT_NS
        for notice in self._gateway.notices.drain():
            ctx.log(notice)
        ctx.gauge("connections", len(self._gateway.connected))
        ctx.gauge("port", self._gateway.port)
        self._totals.count(ctx, self._gateway.counts.copy())

    def close(self) -> None:
        self._gateway.close()


NODE = Gateway
