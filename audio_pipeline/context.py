"""What the engine offers a node while it runs."""

from __future__ import annotations

from typing import Any, Protocol

from audio_pipeline.clock import ClockLine
from audio_pipeline.frame import Flag, Frame, Samples


class Context(Protocol):
    """What the engine offers a node while it runs. Only `wake` and `cancelled` may be called from other threads."""

    name: str
    rate: int  # of the graph, Hz
    frame_samples: int
    live: bool  # False: offline, nothing is late
    folder: str  # where this run leaves its files
    run_folder: str  # private to this run: sockets, boards, token
    incarnation: int  # 0 for the first process of this node in this run, then counting restarts

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
        """Sends (samples, channels) that belong to `position`; the engine cuts them into frames."""

    def emit_gap(self, port: str, samples: int, position: int) -> None:
        """Sends silence without payload."""

    def emit_idle(self, port: str, position: int) -> None:
        """Says that nothing comes and nothing is lost; ten times a second, so that idle and dead differ."""

    def event(self, port: str, kind: str, position: int, **data: Any) -> None:
        """Sends an event on an event port and shows it to whoever watches the pipeline."""

    def now_ns(self) -> int:
        """Host time (monotonic, or virtual under test)."""

    def due_ns(self, port: str, frame: Frame) -> int:
        """Host time by which this frame's first sample has arrived at `port` if every node keeps its stated latency.

        Playing it no earlier than this never runs dry while the statements hold.
        """

    def position_at(self, host_ns: int) -> float:
        """Position of the graph's clock at a host time."""

    def host_ns_at(self, position: float) -> int:
        """Host time at which the graph's clock reaches a position."""

    def clock_rate(self) -> float:
        """True rate of the graph's clock, Hz."""

    def input_clock(self, port: str) -> ClockLine | None:
        """For a bridge: the clock that an input's positions are counted by; None where it is this node's own."""

    def same_clock(self, port: str) -> bool:
        """For a bridge: whether the pipeline file gives both sides one clock."""

    def count(self, name: str, amount: int = 1) -> None:
        """Adds to a counter that everybody can see."""

    def gauge(self, name: str, value: float) -> None:
        """Shows a value that everybody can see."""

    def wake(self) -> None:
        """Makes the engine call `poll` soon; for nodes with a thread of their own."""

    def alive(self) -> None:
        """Says from inside a long step that it makes progress: a node without a sign of life is replaced."""

    def cancelled(self, generation: int) -> bool:
        """True once work for this generation is wanted no more."""

    def publish_clock(self, position: float, host_ns: int, rate: float, *, discont: bool = False) -> None:
        """For a device: the position at a host time, and its true rate in Hz; of the clock master all take it."""

    def log(self, message: str) -> None:
        """One line in the pipeline's log."""
