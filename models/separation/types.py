"""What a separator is made of: modes, windows, the model's side of the bargain, settings and latency."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from audio_pipeline.dsp.normalise import NormaliserSettings
from audio_pipeline.dsp.stft import Stft
from audio_pipeline.errors import ConfigError, nearest

Array = np.ndarray[Any, np.dtype[Any]]
State = Any  # a model's memory of one stream; None for a stateless model

STFT = Stft(4096, 1024)
HOPS = (1, 2, 4, 8, 16, 32)
CHANNELS = 2


@dataclass(frozen=True)
class Mode:
    """Frames in a window and frames of future a mask must have seen.

    A sliding window ends with the newest frame: what follows is then the zero padding of every layer, which
    the network knows from the ends of its training segments; frames of silence there would cost 8 dB of
    agreement. Each inference also revises the frames that are still sounding. Without `sliding` windows are
    segments side by side, the last filled with zeros, as Spleeter has them.
    """

    window: int
    lookahead: int
    sliding: bool = True
    decay: float = 0.0  # weight of what earlier windows said of a frame


MODES: dict[str, Mode] = {
    "offline": Mode(window=512, lookahead=0, sliding=False),
    "low": Mode(window=128, lookahead=0),
    "balanced": Mode(window=128, lookahead=4, decay=0.5),
    "quality": Mode(window=128, lookahead=16, decay=0.5),
}
REVISED = STFT.overlap - 1  # frames that the next block shares with those before


@dataclass(frozen=True, eq=False)
class Window:
    """The input of one inference, and what becomes final with its answer."""

    index: int
    magnitudes: Array  # (frames, bins, channels), read-only
    first_frame: int  # of magnitudes, on the stream's grid; negative before the sound
    wanted: range  # frames of the window whose masks are asked for
    start: int  # samples [start, stop) become final
    stop: int
    complete: int  # samples of input after which this window was complete
    final: int = 0  # one past the last frame that becomes final


class Model(Protocol):
    """A batch of windows in, a batch of masks out; a single stream is a batch of one."""

    @property
    def stems(self) -> tuple[str, ...]:
        """Names, the voice first and what is left over last."""

    @property
    def rate(self) -> int:
        """The only rate the model accepts, in Hz."""

    @property
    def bins(self) -> int:
        """Frequency bins in a window, from 0 Hz."""

    def initial_state(self) -> State:
        """The state of a stream that begins."""

    def step(self, windows: Sequence[Window], states: Sequence[State]) -> tuple[Array, list[State]]:
        """Masks (windows, stems, wanted frames, bins, channels) and the states after."""


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
        if self.mode not in MODES:
            raise ConfigError(f"mode: expected one of {', '.join(MODES)}, got {self.mode!r}{nearest(self.mode, MODES)}")
        if self.hop not in HOPS:
            raise ConfigError(f"hop: expected one of {', '.join(map(str, HOPS))} frames, got {self.hop!r}")

    @property
    def frames_between(self) -> int:
        """Frames from one inference to the next."""
        return MODES[self.mode].window if self.mode == "offline" else self.hop

    @property
    def latency(self) -> Latency:
        """What the settings cost in samples at the model's rate."""
        step = STFT.hop
        return Latency(STFT.frame, MODES[self.mode].lookahead * step, (self.frames_between - 1) * step)


def choose_hop(step_s: Callable[[int], float], *, rate: int = 44100, share: float = 0.6) -> int:
    """The smallest hop of the closed list whose inferences, `step_s(hop)` seconds each, take at most `share`
    of the time between them; the largest where none does."""
    for hop in HOPS:
        if step_s(hop) <= share * hop * STFT.hop / rate:
            return hop
    return HOPS[-1]


DEFAULT = SeparatorSettings()
OFFLINE = SeparatorSettings("offline")
