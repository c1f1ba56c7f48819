"""The header and the sample formats of a crash-safe WAV file.

In front lies a 28-byte JUNK chunk, the place of the `ds64` that turns the file into RF64 (EBU Tech 3306) once
it outgrows the 32-bit sizes of RIFF. The layout never changes with the length, so a header can be rewritten
in place at any time.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import ConfigError

Subtype = Literal["float32", "pcm16", "pcm24"]

U32 = 0xFFFFFFFF
MIN_HEADER_BYTES, MAX_HEADER_BYTES = 80, 92
_BYTES: dict[Subtype, int] = {"float32": 4, "pcm16": 2, "pcm24": 3}
_FMT_AT, _FMT = 48, struct.Struct("<4sIHHIIHH")


@dataclass(frozen=True)
class WavFormat:
    """What a header says beside the length."""

    rate: int
    channels: int
    subtype: Subtype

    def __post_init__(self) -> None:
        known = get_args(Subtype)
        if self.rate < 1 or not 1 <= self.channels <= 0xFFFF or self.subtype not in known:
            raise ConfigError(
                f"a WAV file needs a rate, 1 to 65535 channels and one of {', '.join(known)}, "
                f"got {self.rate} Hz, {self.channels} channels, {self.subtype!r}"
            )
        if self.frame_bytes > 0xFFFF or self.rate * self.frame_bytes > U32:
            raise ConfigError(
                f"a WAV header has no room for {self.channels} channels of {self.subtype} at {self.rate} Hz: "
                f"expected at most 65535 bytes a sample and {U32} bytes a second"
            )

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample in all channels."""
        return _BYTES[self.subtype] * self.channels

    @property
    def header_bytes(self) -> int:
        """Where the audio starts: RIFF 12, JUNK 36, fmt 24, fact 12 (float alone), data 8."""
        return MAX_HEADER_BYTES if self.subtype == "float32" else MIN_HEADER_BYTES

    def header(self, samples: int) -> bytes:
        """The header of a file of `samples`; every length gives the same size and layout.

        The plain format tags serve any number of channels: all readers take them, older versions of the
        standard library's `wave` no other.
        """
        size = samples * self.frame_bytes
        riff = self.header_bytes - 8 + size + size % 2
        big = riff > U32
        bits = _BYTES[self.subtype] * 8
        tag = 3 if self.subtype == "float32" else 1
        out = struct.pack("<4sI4s", b"RF64" if big else b"RIFF", U32 if big else riff, b"WAVE")
        ds64 = struct.pack("<4sIQQQI", b"ds64", 28, riff, size, samples, 0)
        out += ds64 if big else struct.pack("<4sI28x", b"JUNK", 28)
        per_second = self.rate * self.frame_bytes
        out += _FMT.pack(b"fmt ", 16, tag, self.channels, self.rate, per_second, self.frame_bytes, bits)
        if self.subtype == "float32":
            out += struct.pack("<4sII", b"fact", 4, min(samples, U32))
        return out + struct.pack("<4sI", b"data", U32 if big else size)

    @classmethod
    def parse(cls, head: bytes) -> WavFormat | None:
        """The format in the first bytes of a file of this module, None for any other."""
        if len(head) < 80 or head[:4] not in (b"RIFF", b"RF64") or head[12:16] not in (b"JUNK", b"ds64"):
            return None
        name, _, tag, channels, rate, _, _, bits = _FMT.unpack_from(head, _FMT_AT)
        subtypes: dict[tuple[int, int], Subtype] = {(3, 32): "float32", (1, 16): "pcm16", (1, 24): "pcm24"}
        subtype = subtypes.get((tag, bits))
        if name != b"fmt " or subtype is None or channels < 1 or rate < 1:
            return None
        try:
            found = cls(rate, channels, subtype)
        except ConfigError:
            return None
        data_at = found.header_bytes - 8
        return found if head[data_at : data_at + 4] == b"data" else None


def encode(x: NDArray[np.float32], subtype: Subtype, dither: np.random.Generator | None = None) -> bytes:
    """(samples, channels) as little-endian bytes; PCM is clipped, `dither` adds TPDF noise of +-1 LSB.

    16 bits deserve dither, or quiet fades turn into distortion; 24 bits reach below any converter's noise.
    Its numbers are drawn sample by sample, so that block sizes change nothing.
    """
    if subtype == "float32":
        return x.astype("<f4").tobytes()
    scale = float(1 << (8 * _BYTES[subtype] - 1))
    y = x.astype(np.float64) * scale
    if dither is not None:
        y += dither.random((*x.shape, 2)).sum(axis=2) - 1.0
    q = np.clip(np.rint(y), -scale, scale - 1).astype("<i4")
    if subtype == "pcm16":
        return q.astype("<i2").tobytes()
    return np.ascontiguousarray(q).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
