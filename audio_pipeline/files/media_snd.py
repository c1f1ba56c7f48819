"""Sound files through libsndfile, for the rare ones that FFmpeg does not read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from audio_pipeline.errors import MediaError
from audio_pipeline.files.media_faults import Faults
from audio_pipeline.files.media_file import CancelledError, NotReadError, open_regular
from audio_pipeline.files.media_reader import MediaReader, reason

READ_AHEAD = 16384


# Other files it tries to read as MP3, and its decoder writes to the terminal what it thinks of them.
_MARKS = (
    b"RIFF",
    b"RIFX",
    b"RF64",
    b"riff",
    b"FORM",
    b".snd",
    b"dns.",
    b"caff",
    b"PVF1",
    b" paf",
    b"fap ",
    b"2BIT",
    b"MATLAB",
    b"Extended Instrument",
    b"ALawSound",
    b"NIST_1A",
    b"Creative Voice",
    b"fLaC",
    b"OggS",
)


class SoundFileReader(MediaReader):
    """What libsndfile opens by its content."""

    def __init__(self, path: Path) -> None:
        self._fd = open_regular(path)
        try:
            if not os.pread(self._fd, 32, 0).startswith(_MARKS):
                raise ValueError("its format is unknown")
            # By descriptor, since a name that ends in .raw would be taken for headerless audio.
            self._file = sf.SoundFile(self._fd, closefd=False)
        except (sf.SoundFileError, TypeError, ValueError) as e:
            os.close(self._fd)
            raise NotReadError(f"{path}: is not a sound file that can be read ({reason(e)})") from e
        self.path, self.position, self.layout, self.faults = path, 0, (), Faults()
        self.rate, self.channels, self.samples = self._file.samplerate, self._file.channels, self._file.frames
        self._rest = np.zeros((0, self.channels), np.float32)
        self._is_cancelled: Callable[[], bool] = lambda: False
        if not self.samples:
            self.close()
            raise MediaError(f"{path}: holds no sound, not one sample")

    def _decode(self) -> NDArray[np.float32]:
        if self._is_cancelled():
            raise CancelledError
        try:
            x: NDArray[np.float32] = self._file.read(READ_AHEAD, dtype="float32", always_2d=True)
        except sf.SoundFileError as e:
            raise self.failed(e) from e
        if not len(x) and self.position < (self.samples or 0):
            self.faults.ends_s = self.position / self.rate, (self.samples or 0) / self.rate
        return x

    def _seek(self, sample: int) -> None:
        try:
            self.position = self._file.seek(sample)
        except sf.SoundFileError as e:
            raise self.failed(e) from e
        self._rest = self._rest[:0]

    def cancel_by(self, is_cancelled: Callable[[], bool]) -> None:
        self._is_cancelled = is_cancelled

    def close(self) -> None:
        self._file.close()
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
