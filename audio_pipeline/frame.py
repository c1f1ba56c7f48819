"""The frame: what a link carries. How it is packed into a message is in `frame_codec`."""

from __future__ import annotations

import enum
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import WireError

Samples = NDArray[np.float32]  # (samples, channels), in [-1, 1]

MAX_CHANNELS = 32
MIN_RATE, MAX_RATE = 1_000, 768_000
MAX_SAMPLES = 1 << 20


class Format(enum.IntEnum):
    """How the payload is coded; anything but F32 and EVENT lives only at the edges."""

    F32 = 1
    S16 = 2
    OPUS = 3
    EVENT = 16


class Flag(enum.IntFlag):
    """What a frame says beyond its samples."""

    NONE = 0
    DISCONTINUITY = 1  # the samples before this frame are not its neighbours
    GAP = 2  # no payload: `samples` of silence, or idle when 0
    CONCEALED = 4  # a node replaced samples that came too late
    SEGMENT_START = 8  # an utterance begins in this frame
    SEGMENT_END = 16  # an utterance ends in this frame
    END = 32  # the last frame of the stream
    REPLAY = 64  # sent again from the producer's history to a consumer that came back

    if not TYPE_CHECKING:  # what is combined is a plain number: enum's own arithmetic costs a microsecond each time
        __and__ = __rand__ = int.__and__
        __or__ = __ror__ = int.__or__
        __xor__ = __rxor__ = int.__xor__
        __invert__ = int.__invert__


@dataclass(slots=True)
class Frame:
    """A run of samples with its place in content time; nobody changes one, `replace` makes another.

    Not frozen, since that would make each frame three times as slow to build, at every port it passes.

    `data` is float32 (samples, channels); it is None for GAP and event frames.
    `position` is the index of the first sample on the timeline that `stream` names.
    `captured_ns` is the host time at which the newest sample of this frame entered the graph;
    `sent_age_us` how long ago that was when the frame was sent, so that a link can tell its own delay.
    `sources` names what a mix holds: (tag of the source, µs by which it is younger than `captured_ns`).
    """

    data: Samples | None
    position: int
    samples: int
    rate: int
    channels: int
    flags: Flag = Flag.NONE
    seq: int = 0
    epoch: int = 0
    stream: int = 0
    generation: int = 0
    captured_ns: int = 0
    clock_id: int = 0
    sent_age_us: int = 0
    event: dict[str, Any] | None = None
    sources: tuple[tuple[int, int], ...] = ()

    @property
    def end(self) -> int:
        """Position just after the last sample."""
        return self.position + self.samples

    def audio(self) -> Samples:
        """The samples, zeros for a gap: (samples, channels)."""
        return self.data if self.data is not None else np.zeros((self.samples, self.channels), np.float32)

    def cut(self, samples: int) -> tuple[Frame, Frame]:
        """The first `samples` of it, and the rest."""
        first = None if self.data is None else self.data[:samples]
        rest = None if self.data is None else self.data[samples:]
        left, begin, end = self.samples - samples, Flag.DISCONTINUITY | Flag.SEGMENT_START, Flag.END | Flag.SEGMENT_END
        captured_ns = self.captured_ns - round(left / self.rate * 1e9) if self.captured_ns else 0
        head = replace(self, data=first, samples=samples, flags=self.flags & ~end, captured_ns=captured_ns)
        at = self.position + samples
        return head, replace(self, data=rest, samples=left, position=at, flags=self.flags & ~begin)

    def with_data(self, data: Samples, position: int, rate: int) -> Frame:
        """The same frame with other samples (converted rate or channels)."""
        return replace(self, data=data, position=position, samples=len(data), rate=rate, channels=data.shape[1])


def tag_of(source: str) -> int:
    """How a frame names a source: 32 bits that anybody can work out from the node's name."""
    return zlib.crc32(source.encode())


def audio_frame(data: Samples, position: int, rate: int, **fields: Any) -> Frame:
    """A frame around `data` (samples, channels)."""
    if data.ndim != 2:
        raise WireError(f"frame data has shape {data.shape}, expected (samples, channels)")
    return Frame(data, position, data.shape[0], rate, data.shape[1], **fields)


def gap_frame(samples: int, position: int, rate: int, channels: int, **fields: Any) -> Frame:
    """`samples` of silence without payload; 0 samples means idle."""
    flags = cast(Flag, fields.pop("flags", 0) | Flag.GAP)
    return Frame(None, position, samples, rate, channels, flags=flags, **fields)


def event_frame(event: dict[str, Any], position: int, rate: int, **fields: Any) -> Frame:
    """An event (msgpack-able dict) that belongs to `position`."""
    return Frame(None, position, 0, rate, 0, event=event, **fields)


def check_format(rate: int, channels: int) -> None:
    """Raises WireError for sound that no frame can carry."""
    if not MIN_RATE <= rate <= MAX_RATE:
        raise WireError(f"sound with a rate of {rate} Hz cannot be sent, expected {MIN_RATE} to {MAX_RATE}")
    if not 1 <= channels <= MAX_CHANNELS:
        raise WireError(f"sound with {channels} channels cannot be sent, expected 1 to {MAX_CHANNELS}")
