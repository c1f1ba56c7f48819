"""A Context without an engine: a virtual clock, and a memory of everything a node does."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from typing import Any, NamedTuple

import numpy as np

from audio_pipeline.clock import ClockLine
from audio_pipeline.frame import Flag, Frame, Samples, audio_frame, gap_frame
from audio_pipeline.node import Node

SECOND = 1_000_000_000


class Event(NamedTuple):
    port: str
    kind: str
    position: int
    data: dict[str, Any]


class FakeContext:
    """Plays the engine's part; time passes only when a test says so (`advance`)."""

    def __init__(self, rate: int = 48_000, *, live: bool = True, folder: str = ".", incarnation: int = 0) -> None:
        self.name, self.rate, self.frame_samples = "node", rate, rate // 100
        self.live, self.folder, self.incarnation = live, folder, incarnation
        self.run_folder = folder
        self.now = SECOND
        self.start_ns = SECOND  # host time of position 0
        self.sent: dict[str, list[Frame]] = defaultdict(list)
        self.events: list[Event] = []
        self.counters: Counter[str] = Counter()
        self.gauges: dict[str, float] = {}
        self.clocks: list[tuple[float, int, float, bool]] = []
        self.logs: list[str] = []
        self.wakes = 0
        self.cancelled_through = -1
        self.foreign: ClockLine | None = None  # what counts the input of a bridge
        self.due_after_ns = 0  # stated latency of the path up to the node

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)

    def emit(
        self,
        port: str,
        data: Samples,
        position: int,
        *,
        flags: Flag = Flag.NONE,
        captured_ns: int | None = None,
        rate: int | None = None,
    ) -> None:
        assert position >= 0  # the wire has no room for less
        self.sent[port].append(
            audio_frame(data.copy(), position, rate or self.rate, flags=flags, captured_ns=captured_ns or 0)
        )

    def emit_gap(self, port: str, samples: int, position: int) -> None:
        self.sent[port].append(gap_frame(samples, position, self.rate, 2))

    def emit_idle(self, port: str, position: int) -> None:
        self.sent[port].append(gap_frame(0, position, self.rate, 2))

    def event(self, port: str, kind: str, position: int, **data: Any) -> None:
        self.events.append(Event(port, kind, position, data))

    def now_ns(self) -> int:
        return self.now

    def due_ns(self, port: str, frame: Frame) -> int:
        return self.host_ns_at(frame.position) + self.due_after_ns

    def position_at(self, host_ns: int) -> float:
        return (host_ns - self.start_ns) * self.rate / SECOND

    def host_ns_at(self, position: float) -> int:
        return self.start_ns + round(position * SECOND / self.rate)

    def clock_rate(self) -> float:
        return float(self.rate)

    def input_clock(self, port: str) -> ClockLine | None:
        return self.foreign

    def same_clock(self, port: str) -> bool:
        return self.foreign is None

    def count(self, name: str, amount: int = 1) -> None:
        self.counters[name] += amount

    def gauge(self, name: str, value: float) -> None:
        self.gauges[name] = value

    def wake(self) -> None:
        self.wakes += 1

    def alive(self) -> None:
        self.counters["alive"] += 1

    def cancelled(self, generation: int) -> bool:
        return generation <= self.cancelled_through

    def publish_clock(self, position: float, host_ns: int, rate: float, *, discont: bool = False) -> None:
        self.clocks.append((position, host_ns, rate, discont))

    def log(self, message: str) -> None:
        self.logs.append(message)

    def emitted(self, port: str = "out") -> Samples:
        """All samples sent on a port; asserts that their positions join without a hole."""
        frames = [frame for frame in self.sent[port] if frame.samples]
        for left, right in zip(frames, frames[1:], strict=False):
            assert left.end == right.position, f"{port}: {left.end} is followed by {right.position}"
        return np.concatenate([frame.audio() for frame in frames]) if frames else np.zeros((0, 2), np.float32)


class InTurn(Executor):
    """Does the work at once, so that no machine is too slow for it."""

    def __init__(self, workers: int = 1, name: str = "") -> None:
        """As a pool of threads is made."""

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*args, **kwargs))
        return done


def blocks(x: Samples, size: int, position: int = 0) -> Iterator[tuple[int, Samples]]:
    """`x` cut into blocks of `size` (the last may be shorter), with their positions."""
    for start in range(0, len(x), size):
        yield position + start, x[start : start + size]


def run(node: Node, ctx: FakeContext, x: Samples, size: int, *, position: int = 0, rate: int | None = None) -> None:
    """Opens the node, feeds `x` through its one input, flushes and closes it."""
    node.open(ctx)
    for at, block in blocks(x, size, position):
        node.process({"in": audio_frame(block, at, rate or ctx.rate, captured_ns=ctx.now)}, ctx)
    node.flush(ctx)
    node.close()


def noise(samples: int, channels: int = 2, level: float = 0.1, seed: int = 1) -> Samples:
    """Seeded white noise (samples, channels) of a given RMS."""
    return (np.random.default_rng(seed).standard_normal((samples, channels)) * level).astype(np.float32)


def sine(samples: int, rate: int, hz: float = 440.0, level: float = 0.5, channels: int = 2) -> Samples:
    """A sine (samples, channels)."""
    wave = level * np.sin(2 * np.pi * hz * np.arange(samples) / rate)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)
