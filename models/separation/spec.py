"""Describes a separation model: what it takes, what it answers, and how a stream may be cut for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from audio_pipeline.dsp.stft import Stft
from audio_pipeline.errors import ConfigError, nearest

NS = 1_000_000_000
STALL_S = 0.04  # for which a shared machine keeps a process waiting now and then, whatever it computes
Representation = Literal["magnitude", "complex"]


@dataclass(frozen=True)
class Mode:
    """Frames in a window and frames of future an answer must have seen.

    A sliding window ends with the newest frame: what follows is then the zero padding of every layer, which
    the network knows from the ends of its training segments; frames of silence there would cost 8 dB of
    agreement. Each inference also revises the frames that are still sounding. Without `sliding` windows are
    segments side by side, the last filled with zeros, as Spleeter has them.

    A stateful model remembers what it was shown: `window` then counts only the frames that a window repeats of
    the one before, and its new frames come on top.
    """

    window: int
    lookahead: int
    sliding: bool = True
    decay: float = 0.0  # weight of the answers of earlier windows for a frame


@dataclass(frozen=True)
class ModelSpec:
    """One model. Stems stand in the order of its answers; `rate` is the only rate it accepts, in Hz.

    `magnitude`: a window holds |X| of `bins` bins from 0 Hz, and an answer is a mask for each stem. `complex`: a
    window holds X itself, and an answer is the spectrum of each stem. `fallback` names the stem that carries the
    mixture where there is no answer in time, while the other stems are silent. A `stateful` model carries a state
    from window to window, and must see every frame once, in order.
    """

    name: str
    stems: tuple[str, ...]
    rate: int
    channels: int
    stft: Stft
    bins: int
    representation: Representation
    modes: Mapping[str, Mode]
    default_mode: str
    fallback: str
    stateful: bool = False
    stall_s: float = STALL_S  # that a stated latency keeps in hand; less where a miss costs little

    @property
    def frame_s(self) -> float:
        """Seconds from one frame to the next."""
        return self.stft.hop / self.rate

    @property
    def frame_ns(self) -> int:
        """Nanoseconds from one frame to the next."""
        return self.stft.hop * NS // self.rate

    @property
    def revised(self) -> int:
        """Frames that the next block shares with those before."""
        return self.stft.overlap - 1

    @property
    def fallback_index(self) -> int:
        """The place of the fallback among the stems."""
        return self.stems.index(self.fallback)

    def mode(self, name: str) -> Mode:
        """A mode by name. Raises ConfigError, which names the nearest."""
        if name not in self.modes:
            known = ", ".join(self.modes)
            raise ConfigError(f"mode: expected one of {known} ({self.name}), got {name!r}{nearest(name, self.modes)}")
        return self.modes[name]
