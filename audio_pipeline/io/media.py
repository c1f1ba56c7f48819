"""Sound files of any common kind, read by blocks and sought to the sample."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from audio_pipeline.dsp import limits
from audio_pipeline.errors import ConfigError, MediaError

READ_AHEAD = 16384  # python-soundfile seeks after each read, which in FLAC costs a decoded frame
OGG_PREROLL = 16384  # two of Vorbis's longest blocks
OGG_LAST_PAGE = 1 << 19  # 255 packets of 2048 samples, the most that a page holds


class MediaReader(ABC):
    """A sound file open for reading: float32 (n, channels) as the file has it, NaN and overs included.

    `samples` is the length the file declares, None where the end alone will tell; a damaged file may be
    shorter.
    """

    path: Path
    rate: int
    channels: int
    samples: int | None
    position: int
    _rest: NDArray[np.float32]  # decoded, not yet read

    def read(self, n: int) -> NDArray[np.float32]:
        """The next `n` samples, fewer at the end alone, then none; MediaError where the data is damaged."""
        parts = [np.zeros((0, self.channels), np.float32)]
        while n > 0:
            if not len(self._rest):
                self._rest = self._decode()
            part, self._rest = self._rest[:n], self._rest[n:]
            if not len(part):
                break
            parts.append(part)
            self.position += len(part)
            n -= len(part)
        return np.concatenate(parts)

    @abstractmethod
    def _decode(self) -> NDArray[np.float32]:
        """The next piece of the file, of any length; empty at the end."""

    def seek(self, sample: int) -> None:
        """Let the next `read` start at `sample`, exactly; beyond the end it starts at the end."""
        if sample < 0:
            raise ConfigError(f"{self.path}: cannot seek to sample {sample}, positions start at 0")
        self._seek(sample if self.samples is None else min(sample, self.samples))

    @abstractmethod
    def _seek(self, sample: int) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Let go of the file; a second call changes nothing."""

    def __enter__(self) -> MediaReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def damaged(self, e: Exception) -> MediaError:
        """What to raise when the decoder gave up."""
        return MediaError(f"{self.path}: damaged at {self.position / self.rate:.2f} s ({reason(e)})")


class SoundFileReader(MediaReader):
    """WAV, FLAC, Ogg, AIFF and the rest of libsndfile, MP3 apart."""

    def __init__(self, path: Path) -> None:
        # By descriptor, since a name that ends in .raw would be taken for headerless audio.
        self._file = sf.SoundFile(os.open(path, os.O_RDONLY), closefd=True)
        self.path, self.position = path, 0
        self.rate, self.channels, self.samples = self._file.samplerate, self._file.channels, self._file.frames
        self._rest = np.zeros((0, self.channels), np.float32)

    @property
    def is_reliable(self) -> bool:
        """False for what this path gets wrong.

        A FLAC of unknown length it refuses to read. In MP3 each read of python-soundfile ends with a seek,
        which loses the bit reservoir: of a tone at 30 kbit/s read by 100 ms, 29 % of the samples came out
        wrong. And a VBR MP3 without Xing header stopped at a guessed 57 % of its length.
        """
        return bool(self._file.format != "MP3" and self._file.frames < sys.maxsize // 2)

    def _decode(self) -> NDArray[np.float32]:
        try:
            x: NDArray[np.float32] = self._file.read(READ_AHEAD, dtype="float32", always_2d=True)
        except sf.SoundFileError as e:
            raise self.damaged(e) from e
        return x

    def _seek(self, sample: int) -> None:
        landing = sample
        if self._file.format == "OGG":
            # Right behind a seek the overlap with the packet before is missing, and on the last page, whose
            # end is cut, positions are off: land well before both and decode the rest (30 ms at most).
            landing = max(0, min(sample - OGG_PREROLL, self._file.frames - OGG_LAST_PAGE))
        try:
            self.position = self._file.seek(landing)
        except sf.SoundFileError as e:
            raise self.damaged(e) from e
        self._rest = self._rest[:0]
        self.read(sample - landing)

    def close(self) -> None:
        self._file.close()


def open_media(path: str | Path) -> MediaReader:
    """Open a sound file by its content, whatever its name; MediaError with the path and the reason if not.

    libsndfile reads what it can, FFmpeg the rest (MP3, AAC and ALAC in MP4, Matroska, WMA, ...).
    """
    path = Path(path)
    _check_file(path)
    try:
        reader: MediaReader = SoundFileReader(path)
    except sf.SoundFileError:
        reader = _open_av(path)
    if isinstance(reader, SoundFileReader) and not reader.is_reliable:
        reader.close()
        reader = _open_av(path)
    return _within_limits(reader)


def _within_limits(reader: MediaReader) -> MediaReader:
    try:
        limits.check_format(reader.path, reader.rate, reader.channels)
    except MediaError:
        reader.close()
        raise
    return reader


def reason(e: Exception) -> str:
    """The cause in a foreign error, without the path that it may repeat."""
    text = getattr(e, "error_string", "") or getattr(e, "strerror", "") or str(e)
    return text.removeprefix("Error : ").rstrip(".")


def _open_av(path: Path) -> MediaReader:
    from audio_pipeline.io.media_av import AvReader

    return AvReader(path)


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise MediaError(f"{path}: is a folder, expected a sound file")
        if path.exists() and not path.is_file():
            raise MediaError(f"{path}: is not a regular file")
        with path.open("rb") as file:
            if not file.read(1):
                raise MediaError(f"{path}: is empty")
    except OSError as e:
        raise MediaError(f"{path}: cannot be opened ({e.strerror})") from e
