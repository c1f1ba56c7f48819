"""What a separator is made of: windows, the interface of a model, settings and latency."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from audio_pipeline.dsp.normalise import NormaliserSettings
from audio_pipeline.errors import ConfigError
from audio_pipeline.models.separation.spec import ModelSpec

Array = np.ndarray[Any, np.dtype[Any]]
State = Any  # a model's memory of one stream; None for a stateless model

HOPS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, eq=False)
class Window:
    """The input of one inference, and what becomes final with its answer."""

    index: int
    frames: Array  # (frames, bins, channels) in the model's representation, read-only
    first_frame: int  # of frames, on the stream's grid; negative before the sound
    wanted: range  # frames of the window whose answers are asked for
    start: int  # samples [start, stop) become final
    stop: int
    complete: int  # samples of input after which this window was complete
    final: int = 0  # one past the last frame that becomes final


class Described(Protocol):
    """A model as far as a stream must know it, wherever it computes."""

    @property
    def spec(self) -> ModelSpec:
        """What the model takes and answers."""


class Model(Described, Protocol):
    """A batch of windows in, a batch of answers out; a single stream is a batch of one."""

    def initial_state(self) -> State:
        """The state of a stream that begins."""

    def step(self, windows: Sequence[Window], states: Sequence[State]) -> tuple[Array, list[State]]:
        """Answers (windows, stems, wanted frames, bins, channels) and the states after."""


class LoadedModel(Model, Protocol):
    """A model with its weights."""

    engine: str  # where and how it computes

    @property
    def padded(self) -> bool:
        """Whether batches always have all their rows."""


class Latency(NamedTuple):
    """Samples by which output p comes later than input p, by cause; the time to compute comes on top."""

    window: int
    lookahead: int
    hop: int

    @property
    def total(self) -> int:
        """All terms together."""
        return sum(self)


@dataclass(frozen=True)
class SeparatorSettings:
    """How a stream is cut, which outputs it has and what is done around the model.

    `hop` is the number of frames between inferences (always a whole window in `offline`). `outputs` maps a
    name to the gain of each stem in it; without it every stem is an output.
    """

    mode: str = "balanced"
    hop: int = 1
    outputs: Mapping[str, Mapping[str, float]] | None = None
    residual: bool = False
    normalise: NormaliserSettings | None = None

    def __post_init__(self) -> None:
        if self.hop not in HOPS:
            raise ConfigError(f"hop: expected one of {', '.join(map(str, HOPS))} frames, got {self.hop!r}")


def frames_between(spec: ModelSpec, settings: SeparatorSettings) -> int:
    """Frames from one inference to the next: segments side by side follow each other by their length."""
    mode = spec.mode(settings.mode)
    return settings.hop if mode.sliding else mode.window


def stated_latency(spec: ModelSpec, settings: SeparatorSettings) -> Latency:
    """What the settings cost in samples at the model's rate."""
    frame, hop = spec.stft.frame, spec.stft.hop
    return Latency(frame, spec.mode(settings.mode).lookahead * hop, (frames_between(spec, settings) - 1) * hop)


def choose_hop(step_s: Callable[[int], float], frame_s: float, *, share: float = 0.6) -> int:
    """The smallest hop of the closed list whose inferences, `step_s(hop)` seconds each, take at most `share`
    of the time between them, at `frame_s` seconds a frame; the largest where none does."""
    for hop in HOPS:
        if step_s(hop) <= share * hop * frame_s:
            return hop
    return HOPS[-1]


DEFAULT = SeparatorSettings()
OFFLINE = SeparatorSettings("offline")
