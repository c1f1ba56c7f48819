"""A sound file that is read by blocks and sought to the sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import ConfigError, MediaError
from audio_pipeline.files.media_faults import Faults

SKIP = 65536  # samples read and dropped at a time on the way to a place


class MediaReader(ABC):
    """A sound file open for reading: float32 (n, channels) as the file has it, NaN and overs included.

    `samples` is its length, None where the end alone will tell; a damaged file may be shorter. Damage within is
    silence of the same length, counted in `faults`. `layout` names the channels as FFmpeg does (FL, FR, FC, LFE,
    ...), empty where the file does not say. Time stamps are the truth: a gap in them is silence, and so is what lies
    between the file's start and that of its sound.
    """

    path: Path
    rate: int
    channels: int
    layout: tuple[str, ...]
    samples: int | None
    position: int
    faults: Faults
    _rest: NDArray[np.float32]  # decoded, not yet read

    def read(self, n: int) -> NDArray[np.float32]:
        """The next `n` samples, fewer at the end alone, then none; MediaError where the file cannot be read on."""
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

    def _read_on(self, sample: int) -> None:
        """Decodes and drops what lies ahead of `sample`."""
        while self.position < sample and len(self.read(min(sample - self.position, SKIP))):
            pass

    def cancel_by(self, is_cancelled: Callable[[], bool]) -> None:
        """Lets a read or a seek that is under way in another thread end with `CancelledError` once this is true."""
        raise NotImplementedError

    @abstractmethod
    def close(self) -> None:
        """Let go of the file; a second call changes nothing."""

    def __enter__(self) -> MediaReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def failed(self, e: BaseException) -> MediaError:
        """What to raise when the file cannot be read any further."""
        return MediaError(f"{self.path}: cannot be read on at {self.position / self.rate:.2f} s ({reason(e)})")


def reason(e: BaseException) -> str:
    """The cause in a foreign error, without the path that it may repeat."""
    if isinstance(e, MemoryError):
        return "it needs more memory than available"
    if type(e).__name__ == "InvalidDataError":
        return "no sound is found in it"
    text = getattr(e, "error_string", "") or getattr(e, "strerror", "") or getattr(e, "message", "") or str(e)
    return str(text).removeprefix("Error : ").rstrip(".")
