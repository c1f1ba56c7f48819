"""Short-time Fourier analysis and synthesis on a fixed grid of frames that starts one frame before the sound.

Frame k covers samples [k*hop - frame, k*hop): the first holds only the zeros in front, and every sample lies in
frame/hop frames. That is Spleeter's own grid (one frame of zeros in front, no centring).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from audio_pipeline.dsp.windows import hann, vorbis
from audio_pipeline.errors import ConfigError

Array = np.ndarray[Any, np.dtype[np.float32]]
Spectrum = np.ndarray[Any, np.dtype[np.complex64]]


@dataclass(frozen=True)
class Stft:
    """A window of `frame` samples, every `hop` samples, for analysis and synthesis alike: periodic Hann, or Vorbis'."""

    frame: int = 4096
    hop: int = 1024
    shape: Literal["hann", "vorbis"] = "hann"

    def __post_init__(self) -> None:
        if self.shape == "vorbis" and self.frame != 2 * self.hop:
            raise ConfigError(f"hop = {self.hop} must be half of frame = {self.frame}, or Vorbis^2 does not add up")
        if self.shape == "hann" and (self.hop < 1 or self.frame % self.hop or self.frame // self.hop < 3):
            raise ConfigError(
                f"hop = {self.hop} must divide frame = {self.frame} at least 3 times, or Hann^2 does not add up"
            )

    @property
    def overlap(self) -> int:
        """Frames that cover one sample."""
        return self.frame // self.hop

    @property
    def bins(self) -> int:
        """Frequency bins from 0 Hz to half the rate."""
        return self.frame // 2 + 1

    @cached_property
    def window(self) -> Array:
        """The window (frame,)."""
        return hann(self.frame) if self.shape == "hann" else vorbis(self.frame)

    @property
    def compensation(self) -> float:
        """1 over the sum of window^2 at this overlap: of Hann^2 that is 3/8 * overlap, of Vorbis^2 it is 1."""
        return 8 / (3 * self.overlap) if self.shape == "hann" else 1.0

    def analyse(self, x: Array) -> Spectrum:
        """Spectra (frames, channels, bins) of the whole frames in x (samples, channels), the first at x[0]."""
        count = max(0, (len(x) - self.frame) // self.hop + 1)
        if not count:
            return np.zeros((0, x.shape[1], self.bins), np.complex64)
        rows = np.ascontiguousarray(x.T)  # (ch, n): the transform wants its samples side by side
        cut = np.lib.stride_tricks.sliding_window_view(rows, self.frame, axis=1)[:, :: self.hop]
        windowed = cut.transpose(1, 0, 2) * self.window  # (frames, ch, frame)
        return np.fft.rfft(windowed, axis=2).astype(np.complex64, copy=False)

    def synthesise(self, spectra: Spectrum) -> Array:
        """Windowed pieces (..., frame) of spectra (..., bins), scaled so that their overlap-add is the sound."""
        pieces = np.fft.irfft(spectra, self.frame, axis=-1)
        weighted: Array = pieces * (self.window * np.float32(self.compensation))
        return weighted.astype(np.float32, copy=False)


class Analyser:
    """Streaming `Stft.analyse`: sound in any chunks, spectra of the frames that each chunk completes."""

    def __init__(self, stft: Stft, channels: int) -> None:
        self.stft = stft
        self._channels = channels
        self.reset()

    def reset(self) -> None:
        """Forgets the sound: the next sample is sample 0, behind a frame of zeros."""
        self._tail: Array = np.zeros((self.stft.frame, self._channels), np.float32)

    def process(self, x: Array) -> Spectrum:
        """Spectra (frames, channels, bins) completed by x (samples, channels)."""
        held = np.concatenate([self._tail, x])
        spectra = self.stft.analyse(held)
        self._tail = held[len(spectra) * self.stft.hop :]
        return spectra
