"""How frames are coded between hosts: f32, s16 or Opus. Encoded once per port and format, for all who listen.

A coded frame is the frame of the link with another payload: same number, position, time stamps. s16 is rounded to 16
bits. Opus (RFC 6716) is a packet a frame, from libopus through FFmpeg, in its low-delay mode: 2.5 ms late, which the
decoder takes off the position, so that sound stays where it was. Frames that Opus has no packet for (another rate than
48 kHz, more than two channels, other lengths) and those that a slow listener asks for once more are sent as s16.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import WireError
from audio_pipeline.frame import Flag, Format
from audio_pipeline.frame_codec import HEADER

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext

RATE, PRE_SKIP = 48_000, 120  # samples by which libopus is late in its low-delay mode
PACKETS = (120, 240, 480, 960)  # samples of one, at 48 kHz
BITS_S = {1: 96_000, 2: 128_000}
MAX_PACKET = 4_000  # bytes; RFC 6716 has at most 1,275 a frame
KEPT_FRAMES = 64  # coded payloads of a port that the next listener gets without encoding
CODE, CHANNELS, SAMPLE_RATE, SAMPLES, PAYLOAD, FLAGS, EPOCH, POSITION, CAPTURED, GENERATION = (
    3,
    4,
    5,
    6,
    7,
    8,
    10,
    13,
    14,
    15,
)
Samples = NDArray[np.float32]


class Coding(Enum):
    """What a listener may ask for."""

    F32 = "f32"
    S16 = "s16"
    OPUS = "opus"


def _head(message: bytes) -> list[Any]:
    """The fields of a frame's header. Raises WireError."""
    if len(message) < HEADER.size:
        raise WireError(f"frame of {len(message)} bytes is shorter than its {HEADER.size}-byte header")
    return list(HEADER.unpack_from(message))


def _built(message: bytes, head: list[Any], payload: bytes) -> bytes:
    """The frame with another header and payload; what lies between them is kept."""
    head[PAYLOAD] = len(payload)
    return HEADER.pack(*head) + message[HEADER.size : head[2]] + payload


class PortEncoder:
    """Codes the frames of one port for all listeners that asked for one format."""

    def __init__(self, coding: Coding) -> None:
        self._coding = coding
        self._kept: OrderedDict[tuple[int, ...], tuple[Format, bytes]] = OrderedDict()
        self._opus: AudioCodecContext | None = None
        self._next: tuple[int, ...] = ()  # what the next packet continues
        self.encoded = 0  # frames, however many listeners had them

    def encode(self, message: bytes) -> bytes:
        """A frame in this port's format; anything that carries no f32 sound as it is. Raises WireError."""
        head = _head(message)
        if head[CODE] != Format.F32 or head[FLAGS] & Flag.GAP or not head[SAMPLES]:
            return message
        key = (head[EPOCH], head[GENERATION], head[CHANNELS], head[SAMPLE_RATE], head[POSITION], head[SAMPLES])
        if key not in self._kept:
            x = np.frombuffer(message, "<f4", offset=head[2]).reshape(head[SAMPLES], head[CHANNELS])
            self._kept[key] = self._coded(key, x)
            self.encoded += 1
            if len(self._kept) > KEPT_FRAMES:
                self._kept.popitem(last=False)
        head[CODE], payload = self._kept[key]
        return _built(message, head, payload)

    def _coded(self, key: tuple[int, ...], x: Samples) -> tuple[Format, bytes]:
        if self._coding is Coding.OPUS and _fits_opus(key[3], x) and not self._is_old(key):
            if packet := self._packet(key, x):
                return Format.OPUS, packet
        return Format.S16, np.rint(np.clip(x, -1, 32767 / 32768) * 32768).astype("<i2").tobytes()

    def _is_old(self, key: tuple[int, ...]) -> bool:
        """Whether a listener is so far behind that the encoder is past this frame."""
        return self._next[:4] == key[:4] and key[4] < self._next[4]

    def _packet(self, key: tuple[int, ...], x: Samples) -> bytes:
        """Empty where libopus refuses the sound: a gateway does not end with that."""
        import av

        if self._opus is None or self._next != key[:5]:
            self._opus = _encoder(*x.shape)
        self._next = (*key[:4], key[4] + len(x))
        try:
            return b"".join(bytes(packet) for packet in self._opus.encode(_audio_frame(x)))
        except av.error.FFmpegError:
            self._opus = None
            return b""


class PortEncoders:
    """By port and format; one lives as long as a session holds it."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[tuple[str, Coding], PortEncoder] = WeakValueDictionary()

    def of(self, port: str, coding: Coding) -> PortEncoder | None:
        """None where frames go out as they are."""
        if coding is Coding.F32:
            return None
        found = self._known.get((port, coding))
        if found is None:
            found = self._known[port, coding] = PortEncoder(coding)
        return found


class FrameDecoder:
    """Turns coded frames of one port into f32 ones."""

    def __init__(self) -> None:
        self._opus: AudioCodecContext | None = None
        self._next: tuple[int, ...] = ()

    def decode(self, message: bytes) -> bytes:
        """A frame with f32 or s16 samples; one that is no Opus as it is. Raises WireError."""
        if len(message) < HEADER.size or message[CODE + 3] != Format.OPUS:
            return message
        head = _head(message)
        packet = message[head[2] :]
        if head[SAMPLE_RATE] != RATE or head[CHANNELS] not in BITS_S or head[SAMPLES] not in PACKETS:
            raise WireError(
                f"Opus frame of {head[SAMPLES]} samples x {head[CHANNELS]} channels at {head[SAMPLE_RATE]} Hz, "
                f"expected {PACKETS} x 1 or 2 at {RATE}"
            )
        if not 0 < len(packet) <= MAX_PACKET or len(packet) != head[PAYLOAD]:
            raise WireError(f"Opus packet of {len(packet)} bytes, expected 1 to {MAX_PACKET}")
        x = self._samples(head, packet)
        end = head[POSITION] + head[SAMPLES] - PRE_SKIP
        head[CODE], head[SAMPLES], head[POSITION] = Format.F32, len(x), max(end - len(x), 0)
        head[CAPTURED] -= head[CAPTURED] and PRE_SKIP * 10**9 // RATE
        return _built(message, head, x.astype("<f4").tobytes())

    def _samples(self, head: list[Any], packet: bytes) -> Samples:
        import av

        here = (head[EPOCH], head[GENERATION], head[CHANNELS], head[POSITION])
        if self._opus is None or self._next != here:
            self._opus = _decoder(head[CHANNELS])
        self._next = (*here[:3], head[POSITION] + head[SAMPLES])
        try:
            blocks = [block.to_ndarray().T for block in self._opus.decode(av.Packet(packet))]
        except av.error.FFmpegError as error:
            self._opus = None
            raise WireError(f"Opus packet of {len(packet)} bytes cannot be decoded: {error}") from error
        x = np.concatenate(blocks) if blocks else np.zeros((0, head[CHANNELS]), np.float32)
        if x.shape[1] != head[CHANNELS] or len(x) > head[SAMPLES]:
            raise WireError(f"Opus packet holds {x.shape} samples, its frame states {head[SAMPLES]}")
        return np.asarray(x, np.float32)


def _fits_opus(rate: int, x: Samples) -> bool:
    return rate == RATE and x.shape[1] in BITS_S and len(x) in PACKETS


def _layout(channels: int) -> str:
    return "stereo" if channels == 2 else "mono"


def _encoder(samples: int, channels: int) -> AudioCodecContext:
    import av

    made: AudioCodecContext = av.CodecContext.create("libopus", "w")
    made.sample_rate, made.format, made.layout = RATE, "flt", _layout(channels)
    made.bit_rate = BITS_S[channels]
    made.options = {"application": "lowdelay", "frame_duration": f"{samples * 1000 / RATE:g}"}
    made.open()
    return made


def _decoder(channels: int) -> AudioCodecContext:
    import av

    made: AudioCodecContext = av.CodecContext.create("opus", "r")
    made.sample_rate, made.layout = RATE, _layout(channels)
    made.extradata = (
        b"OpusHead" + bytes([1, channels]) + PRE_SKIP.to_bytes(2, "little") + RATE.to_bytes(4, "little") + bytes(3)
    )
    made.open()
    return made


def _audio_frame(x: Samples) -> Any:
    import av

    made = av.AudioFrame.from_ndarray(np.ascontiguousarray(x).reshape(1, -1), format="flt", layout=_layout(x.shape[1]))
    made.sample_rate = RATE
    return made
