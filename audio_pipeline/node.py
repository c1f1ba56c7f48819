"""What a node is: a class with typed settings, named ports and a few methods that the engine calls.

A useful node is a dozen lines::

    class Gain(Filter):
        @dataclass(frozen=True)
        class Settings:
            gain_db: float = setting(0.0, "level change", unit="dB", minimum=-60, maximum=24)

        def filter(self, x: Samples) -> Samples:
            return x * db_to_gain(self.settings.gain_db)

The engine owns sockets, clocks and threads; a node sees arrays and a `Context`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from audio_pipeline.context import Context
from audio_pipeline.frame import Flag, Frame, Samples

ANY = "*"  # as the only port name: the pipeline file names the ports


@dataclass(frozen=True)
class NoSettings:
    """For nodes that have nothing to set."""


class Bypass(enum.Enum):
    """What stands in for an output while its node is down and the consumer asked for `on_loss: bypass`."""

    INPUT = "input"  # the node's (first) input, delayed by the node's latency
    SILENCE = "silence"


@dataclass(frozen=True)
class Latency:
    """Samples between a sample going in and the same sample coming out, by cause, at the node's rate."""

    window: int = 0
    lookahead: int = 0
    hop: int = 0
    compute: int = 0

    @property
    def total(self) -> int:
        return self.window + self.lookahead + self.hop + self.compute


@dataclass(frozen=True)
class Ports:
    """Names of a node's ports; `events` are outputs that carry events instead of sound.

    `event_inputs` are inputs for events: they may be left unconnected, and events can be sent to them from outside.
    """

    inputs: tuple[str, ...] = ("in",)
    outputs: tuple[str, ...] = ("out",)
    events: tuple[str, ...] = ()
    event_inputs: tuple[str, ...] = ()
    bypass: Mapping[str, Bypass] = field(default_factory=dict)


class Node:
    """Anything with ports. Subclass `Filter`, `Source` or `Aligned` where one of them fits."""

    Settings: ClassVar[type] = NoSettings
    InputSettings: ClassVar[type] = NoSettings  # what the file may set for each input, beside the link's own keys
    PORTS: ClassVar[Ports] = Ports()
    aligned: ClassVar[bool] = False  # True: `process` gets all inputs for the same span at once
    continuous: ClassVar[bool] = True  # the engine fills short holes; False: `process` sees positions as they come
    takes_events: ClassVar[bool] = False  # True: inputs may be connected to event ports
    clock_source: ClassVar[bool] = False  # True: owns a device clock and can be the graph's master
    bridge: ClassVar[bool] = False  # True: counts its input by one clock and its output by another
    commands: ClassVar[tuple[str, ...]] = ()  # of seek, next, loop: those that `on_command` knows
    hang_s: ClassVar[float] = 2.0  # live, its loop may stand still for so long, or three times its longest turn
    start_s: ClassVar[float] = 120.0  # longest that `open` may take, unless the file says otherwise
    remote_input: ClassVar[bool] = False  # True: takes sound from another host, through the gateway
    service: ClassVar[bool] = False  # True: serves the others and makes no sound; the pipeline ends without it
    light: ClassVar[bool] = False  # True: little work a frame; no device, file, socket or thread of its own
    audible: ClassVar[bool] = False  # True: people hear what goes in here (playback, broadcast), so inputs need on_loss

    def __init__(self, settings: Any = None) -> None:
        self.settings: Any = settings if settings is not None else self.Settings()
        self.input_settings: dict[str, Any] = {}  # by input name; filled by the engine before `open`

    @classmethod
    def ports(cls, settings: Any, inputs: tuple[str, ...] = ()) -> Ports:
        """The node's ports under these settings; `inputs` are the names the file uses, for nodes that take any."""
        return replace(cls.PORTS, inputs=inputs) if cls.PORTS.inputs == (ANY,) else cls.PORTS

    @classmethod
    def preload(cls, settings: Any) -> tuple[str, ...]:
        """Modules that a spare process imports beforehand, so that a restart is quick."""
        return ()

    @classmethod
    def assets(cls, settings: Any) -> tuple[str, ...]:
        """Names in `models.weights.registry` that must be there before the pipeline starts."""
        return ()

    @classmethod
    def when_shared(cls, settings: Any) -> Mapping[str, Any] | None:
        """For `host: shared`: settings, unless the file states them, with which it shares a process with other nodes.

        None where it keeps a process of its own, as one that needs weights does.
        """
        return None if cls.assets(settings) else {}

    @classmethod
    def clock_domain(cls, settings: Any) -> str | None:
        """Name of the device clock this node runs on, None where it follows the graph."""
        return None

    @classmethod
    def converts(cls, settings: Any, *, same_clock: bool) -> bool:
        """For a bridge: False where it only passes on, since the clocks on both sides are one."""
        return not same_clock

    def input_rate(self, port: str, graph_rate: int) -> int:
        """The rate this input wants, Hz; the port converts."""
        return graph_rate

    def input_channels(self, port: str) -> int | None:
        """The channels this input wants, None for any; the port converts."""
        return None

    def open(self, ctx: Context) -> None:
        """Loads what is heavy and warms up; the node is READY when this returns."""

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        """Takes the frames that arrived (one, or one for each input where `aligned`)."""

    def poll(self, ctx: Context) -> None:
        """Called after `wake` and at `deadline_ns`."""

    def deadline_ns(self) -> int | None:
        """Host time at which `poll` must run, None for never."""
        return None

    def on_event(self, port: str, event: Mapping[str, Any], position: int, ctx: Context) -> None:
        """Takes an event from an event input; one that came from outside has the position of the node's output."""

    def on_events_end(self, port: str, ctx: Context) -> None:
        """No event will come on this event input any more, as far as the graph is concerned."""

    def on_param(self, name: str, value: Any, position: int, ctx: Context) -> None:
        """A live setting changed (`gain_db`, `inputs.mic.mute`); `settings` and `input_settings` hold it already.

        Sound must ramp over 20 ms.
        """

    def on_inputs(self, ctx: Context) -> None:
        """Inputs came or went while it runs; `input_settings` says which there are.

        Called before the first frame of one that came, and after the last of one that went.
        """

    def on_command(self, name: str, args: Mapping[str, Any], ctx: Context) -> Any:
        """A transport command (play, pause, seek, next, loop); returns what the caller is told."""
        raise NotImplementedError(name)

    def reset(self, position: int, reason: str, ctx: Context) -> None:
        """Forgets the past: the next input is not the neighbour of the last (cancel, discontinuity)."""

    def flush(self, ctx: Context) -> None:
        """All inputs have ended: emit what is still inside."""

    @property
    def busy(self) -> bool:
        """True while a thread of its own has work left. After `flush` its END waits for that, and `poll` is called.

        Virtual time waits as well. A node that shows how much that is in a gauge `unwritten_bytes` is also waited for
        when the pipeline ends.
        """
        return False

    def latency(self) -> Latency:
        """Valid after `open`; an estimate before."""
        return Latency()

    @classmethod
    def estimate(cls, settings: Any, rate: int) -> Latency:
        """What `check` prints before anything is opened."""
        return Latency()

    def context_samples(self) -> int:
        """Past input that a restarted node wants to hear again to be whole at once."""
        return 0

    def resume_position(self, port: str) -> int | None:
        """After a restart: the input position to replay from, None for `context_samples` of the past."""
        return None

    def snapshot(self) -> dict[str, Any]:
        """State that a successor needs (msgpack-able)."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes a predecessor's snapshot, before `open`."""

    def close(self) -> None:
        """Lets go of devices, files and threads."""


class Filter(Node):
    """One in, one out, same length: `filter` is all there is to write."""

    def filter(self, x: Samples) -> Samples:
        """(samples, channels) to the same shape."""
        raise NotImplementedError

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        ctx.emit(
            "out",
            self.filter(frame.audio()),
            frame.position,
            flags=frame.flags & ~(Flag.END | Flag.GAP | Flag.REPLAY),
            captured_ns=frame.captured_ns,
        )


class Source(Node):
    """Makes sound out of nothing it is sent: the engine draws a block when the clock (or credit) asks for it."""

    PORTS: ClassVar[Ports] = Ports(inputs=())

    def blocks(self, ctx: Context) -> Iterator[Samples | int]:
        """Yields blocks (samples, channels), or an int: that many samples of silence. Its end is the stream's END.

        0 offline: nothing now, ask again; a source that waits for events says so.
        """
        raise NotImplementedError

    def seekable(self) -> bool:
        """True where the source can run ahead of the clock and can be paused (a file, not a microphone)."""
        return True


class Aligned(Node):
    """Several inputs in step: `process` gets each input's samples for one and the same span, gaps filled."""

    aligned: ClassVar[bool] = True
    PORTS: ClassVar[Ports] = Ports(inputs=(ANY,))
