"""Joins a device with a clock of its own to the clock of the rest of the graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from audio_pipeline.context import Context
from audio_pipeline.dsp.drift_bridge import Bridged, DriftBridge
from audio_pipeline.dsp.sinc import HALF
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.node import Latency, Node, Ports
from audio_pipeline.settings import setting

MAP_NS = 10_000_000_000
FAR_PPM = 10.0
SURE_NS = 60_000_000_000


@dataclass(frozen=True)
class Settings:
    mode: str = setting(
        "auto", "auto: converts if both sides have different clocks; always", choices=("auto", "always")
    )


class Bridge(Node):
    """Converts between the clocks of two sound cards: counts its input by one and its output by the other.

    If the file gives both sides the same clock, it passes its input on. Otherwise output sample q is the sound that
    came in when the output's clock stood at q; an interpolation whose ratio follows both clocks computes it. Gauges:
    `drift_ppm`, how much faster the input's clock is; `fill_samples`, input not yet passed on; `error_samples`, the
    distance between the read position and the position given by the clocks; `jumps`, the number of jumps of a clock.
    The event `map` gives the input position of an output position, at each start and every ten seconds.
    """

    Settings = Settings
    PORTS = Ports(events=("map",))
    bridge = True
    light = True

    @classmethod
    def preload(cls, settings: Any) -> tuple[str, ...]:
        return ("audio_pipeline.dsp.drift_bridge",)

    @classmethod
    def converts(cls, settings: Any, *, same_clock: bool) -> bool:
        return not same_clock or bool(settings.mode == "always")

    @classmethod
    def estimate(cls, settings: Any, rate: int) -> Latency:
        return Latency(lookahead=HALF)

    def open(self, ctx: Context) -> None:
        self.ctx = ctx
        self._works = ctx.live and self.converts(self.settings, same_clock=ctx.same_clock("in"))
        self._opened_ns, self._warned = ctx.now_ns(), False
        self._bridge: DriftBridge | None = None
        self._newest: Frame | None = None
        self._map_ns = 0
        self._jumps = 0

    def latency(self) -> Latency:
        return Latency(lookahead=HALF) if self._works else Latency()

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        if not self._works:
            flags = frame.flags & ~(Flag.END | Flag.GAP | Flag.REPLAY)
            ctx.emit("out", frame.audio(), frame.position, flags=flags, captured_ns=frame.captured_ns)
            self._watch(ctx)
            return
        if self._bridge is None or self._bridge.channels != frame.channels:
            self._bridge = DriftBridge(max(frame.channels, 1), ctx.rate, ctx.frame_samples)
        self._newest = frame
        self._bridge.write(frame.position, frame.audio(), self._out_of)
        self._give(self._bridge.take(self._place_of, self._out_of), ctx)

    def _watch(self, ctx: Context) -> None:
        """One device in the file may be two cards: says so, once it is certain."""
        line = ctx.input_clock("in") if ctx.live else None
        if line is None:
            return
        ppm = (line.rate / ctx.clock_rate() - 1) * 1e6
        ctx.gauge("drift_ppm", ppm)
        if abs(ppm) > FAR_PPM and not self._warned and ctx.now_ns() - self._opened_ns > SURE_NS:
            self._warned = True
            ctx.log(f"the clocks on both sides are {ppm:+.0f} ppm apart, though the file has one device: mode: always")

    def _place_of(self, position: float) -> float:
        host_ns = self.ctx.host_ns_at(position)
        line = self.ctx.input_clock("in")
        return line.position_at(host_ns) if line else self.ctx.position_at(host_ns)

    def _out_of(self, place: float) -> float:
        line = self.ctx.input_clock("in")
        return self.ctx.position_at(line.host_ns_at(place)) if line else place

    def _give(self, blocks: Iterable[Bridged], ctx: Context) -> None:
        bridge, newest = self._bridge, self._newest
        assert bridge is not None and newest is not None
        for position, data, place in blocks:
            captured_ns = newest.captured_ns - round((newest.end - place) / ctx.rate * 1e9)
            ctx.emit("out", data, position, captured_ns=captured_ns if newest.captured_ns else 0)
            self._publish(position + len(data), place, ctx)
        ctx.gauge("drift_ppm", bridge.ppm)
        ctx.gauge("fill_samples", bridge.fill_samples)
        ctx.gauge("error_samples", bridge.error_samples)
        ctx.count("jumps", bridge.jumps - self._jumps)
        self._jumps = bridge.jumps

    def _publish(self, position: int, place: float, ctx: Context) -> None:
        assert self._bridge is not None
        if ctx.now_ns() >= self._map_ns or self._bridge.jumps != self._jumps:
            self._map_ns = ctx.now_ns() + MAP_NS
            ratio = self._bridge.control.ratio
            ctx.event("map", "bridge", position, input_position=place, ratio=ratio, ppm=self._bridge.ppm)

    def reset(self, position: int, reason: str, ctx: Context) -> None:
        if self._bridge is not None:
            self._bridge.reset()

    def flush(self, ctx: Context) -> None:
        if self._bridge is not None:
            self._give(self._bridge.finish(self._place_of), ctx)


NODE = Bridge
