"""Sound files through FFmpeg's libraries, for what libsndfile does not read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import MediaError
from audio_pipeline.io.media import MediaReader, reason

# Files alone: playlists (HLS, concat) would make FFmpeg open whatever they name.
_FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,avi,caf,dsf,dts,eac3,flac,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,"
    "mpegts,ogg,tta,w64,wav,wv"
)
_PREROLL = 16384  # samples decoded ahead of a seek: more than AAC with SBR, or Opus (80 ms), needs to settle


class AvReader(MediaReader):
    """Any file with sound that FFmpeg decodes, its encoder delay left out where the container tells it.

    In MP4 and MP3 packets have exact times: a seek jumps close by, decodes and discards. Elsewhere times are
    rounded or estimated, so that a seek backwards decodes from the start: exact as well, but slower (an hour
    of AAC takes some 4 s). A codec's own random noise (AAC's PNS) differs from one pass to the next.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.position = path, 0
        self._container, self._stream = self._open()
        self._frames: Iterator[Any] = self._container.decode(self._stream)
        stream = self._stream
        self.rate, self.channels = int(stream.rate), int(stream.codec_context.layout.nb_channels)
        self._ticks = stream.time_base * self.rate  # samples a tick
        self._is_mp4 = "mp4" in self._container.format.name and self._ticks == 1
        self._jumps = self._is_mp4 or self._container.format.name == "mp3"
        known = self._is_mp4 or (self._jumps and _has_xing(path))
        self.samples = int(stream.duration * self._ticks) if known and stream.duration else None
        first = self._next_frame()
        self._base = 0 if first is None or first.pts is None else int(first.pts)
        self._rest = self._convert(first)

    def read(self, n: int) -> NDArray[np.float32]:
        if self._is_mp4 and self.samples is not None:
            n = min(n, self.samples - self.position)  # of the last packet only so much counts
        return super().read(n)

    def _decode(self) -> NDArray[np.float32]:
        return self._convert(self._next_frame())

    def _seek(self, sample: int) -> None:
        if not self._jump(sample) and sample < self.position:
            self._rewind()
        while self.position < sample and len(self.read(min(sample - self.position, _PREROLL))):
            pass

    def _jump(self, sample: int) -> bool:
        """Go to a packet ahead of `sample` by the preroll; not to the start, whose priming a jump misses."""
        target = sample - _PREROLL
        if not self._jumps or target <= _PREROLL or 0 <= sample - self.position < self.rate:
            return False
        try:
            self._container.seek(self._base + int(target / self._ticks), stream=self._stream)
        except (av.error.FFmpegError, OSError) as e:
            raise self.damaged(e) from e
        self._frames = self._container.decode(self._stream)
        self._next_frame()  # it lacks the packet before it, which its transform overlaps with
        frame = self._next_frame()
        if frame is None or frame.pts is None or (frame.pts - self._base) * self._ticks > sample:
            self.position = sample + 1  # an index that is wrong: decode from the start
            return False
        self.position = round((frame.pts - self._base) * self._ticks)
        self._rest = self._convert(frame)
        return True

    def _open(self) -> tuple[Any, Any]:
        """The container and its first stream of sound that has a decoder."""
        try:
            container = av.open(str(self.path.resolve()), options={"format_whitelist": _FORMATS})
        except (av.error.FFmpegError, OSError) as e:
            raise MediaError(f"{self.path}: is not a sound file that can be read ({reason(e)})") from e
        for stream in container.streams.audio:
            if stream.codec_context is not None and stream.rate and stream.codec_context.layout.nb_channels:
                return container, stream
        container.close()
        raise MediaError(f"{self.path}: has no sound in it that can be decoded")

    def _rewind(self) -> None:
        self.close()
        self._container, self._stream = self._open()
        self._frames = self._container.decode(self._stream)
        self.position, self._rest = 0, self._rest[:0]

    def _next_frame(self) -> Any:
        try:
            return next((frame for frame in self._frames if frame.samples), None)
        except (av.error.FFmpegError, OSError) as e:
            raise self.damaged(e) from e

    def _convert(self, frame: Any) -> NDArray[np.float32]:
        """(n, channels) float32 of a decoded frame in any of FFmpeg's sample formats."""
        if frame is None:
            return np.zeros((0, self.channels), np.float32)
        if (frame.sample_rate, frame.layout.nb_channels) != (self.rate, self.channels):
            raise MediaError(
                f"{self.path}: changes at {self.position / self.rate:.2f} s from {self.rate} Hz, "
                f"{self.channels} channels to {frame.sample_rate} Hz, {frame.layout.nb_channels}"
            )
        x = frame.to_ndarray()
        x = x.T if frame.format.is_planar else x.reshape(-1, self.channels)
        if x.dtype == np.uint8:
            return np.asarray((x.astype(np.float32) - 128) / 128, np.float32)
        scale = 2.0 ** (8 * x.dtype.itemsize - 1) if x.dtype.kind == "i" else 1.0
        return np.ascontiguousarray(x / scale, np.float32)

    def close(self) -> None:
        self._container.close()


def _has_xing(path: Path) -> bool:
    """Whether the first frame of an MP3, behind its ID3v2 tag, tells the length; else FFmpeg guesses it."""
    with path.open("rb") as file:
        tag = file.read(10)
        is_tag = tag[:3] == b"ID3"  # its size is four times seven bits, ID3v2.4 section 3.1
        file.seek(10 + sum((byte & 0x7F) << 7 * (3 - i) for i, byte in enumerate(tag[6:10])) if is_tag else 0)
        head = file.read(4096)
    return b"Xing" in head or b"Info" in head
