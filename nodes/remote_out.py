"""Sends sound into a pipeline on another host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audio_pipeline.context import Context
from audio_pipeline.frame import Frame
from audio_pipeline.node import Node, Ports
from audio_pipeline.settings import setting

if TYPE_CHECKING:
    from audio_pipeline.gateway.frame_ends import FrameSink

REPORT_NS = 100_000_000


@dataclass(frozen=True)
class Settings:
    host: str = setting("localhost", "the other host: studio, or studio:7700")
    to: str = setting("mic", "the remote_mic node of that host")
    key: str = setting("", "name of the other host's key in the address book; empty: the host's name")
    own: str = setting("", "name of this host's key, if it has several")
    curve: bool = setting(True, "false: without keys and encryption, for loopback addresses only")


class RemoteOut(Node):
    """Sends each frame at once, with credit; frames that cannot be sent in time are dropped and counted.

    The node opens the connection, encrypted, and reconnects for as long as it takes; nodes of one process share it.
    Counters: `sent`, `dropped_oldest` (no credit), `dropped_nobody` (no connection), `dropped_lost` (lost with a
    connection), `reconnects`, `bad`.
    """

    Settings = Settings
    PORTS = Ports(outputs=())

    @classmethod
    def preload(cls, settings: object) -> tuple[str, ...]:
        return ("audio_pipeline.gateway.feed",)

    def open(self, ctx: Context) -> None:
        from audio_pipeline.gateway.feed import RemoteFeed
        from audio_pipeline.gateway.remote import find_remote

        wanted = self.settings
        remote = find_remote(wanted.host, wanted.key, wanted.own, curve=wanted.curve)
        self._sink: FrameSink = RemoteFeed(remote, wanted.to)
        self._report_ns = ctx.now_ns()

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        self._sink.offer(inputs["in"])

    def deadline_ns(self) -> int | None:
        return self._report_ns

    def poll(self, ctx: Context) -> None:
        if ctx.now_ns() >= self._report_ns:
            self._report_ns = ctx.now_ns() + REPORT_NS
            self._sink.report(ctx)

    def close(self) -> None:
        self._sink.close()


NODE = RemoteOut
