"""A buffer of the parts of the drift bridge and the jitter buffer, to test these parts without a network or a card."""

from __future__ import annotations

from math import floor

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.dll import Dll
from audio_pipeline.dsp.drift_control import JUMP_S, MAX_PPM, DriftControl
from audio_pipeline.dsp.drift_reader import DriftReader

Samples = NDArray[np.float32]


class DriftBuffer:
    """A buffer between two clocks: `push` by the one, `pull` by the other, forever, with nothing lost or doubled.

    `push` takes samples and the host time of the newest one: any that advances with the input's clock (when it was
    captured, or when it arrived), jitter included. `pull` gives n samples, behind the last of which the output's
    clock stands at `host_ns`. What is given then lies `target_samples` behind what was stamped by then; so the
    target covers what the stamps leave out: the way (where they are capture times), the length of a block, the
    jitter, and the 32 samples that the interpolation looks ahead.

    The ratio follows the difference of the clocks by a `DriftControl`. `target_samples` may be set at any time:
    a change of up to 50 ms is reached by `max_ppm / 2` more or less speed, a larger one at once, crossfaded.
    What is missing fades out and in within 5 ms and is counted.
    """

    def __init__(
        self,
        channels: int,
        rate: int,
        target_samples: float,
        *,
        capacity_samples: int | None = None,
        max_ppm: float = MAX_PPM,
        reader: DriftReader | None = None,
    ) -> None:
        self.rate, self.channels, self.target_samples = rate, channels, target_samples
        self.control = DriftControl(rate, max_ppm=max_ppm)
        self.reader = reader or DriftReader(channels, rate, capacity_samples or 10 * rate)
        self._target, self._bend = target_samples, max_ppm * 0.5e-6
        self._line = Dll(rate)
        self._pushed = 0
        self._playing = False

    def push(self, x: Samples, captured_ns: int) -> None:
        """Takes (n, channels), the newest of which was stamped `captured_ns`; they join what came before."""
        if len(x):
            self.reader.write(self._pushed, x)
            self._pushed += len(x)
            self._line.update(self._pushed, captured_ns)

    def skip(self, samples: int) -> None:
        """So many samples of the input never came: they are concealed in their place."""
        self._pushed += samples

    def pull(self, n: int, host_ns: int) -> Samples:
        """The next (n, channels); silence before the first push."""
        if not n or not self._pushed:
            return np.zeros((n, self.channels), np.float32)
        moved = self._move_target(n)
        wanted = self._line.position_at(host_ns) - self._target
        at = floor(wanted)
        frac = wanted - at
        if not self._playing or self.control.lost(at - n, frac):
            self._jump(at - n, frac, n)
        return self.reader.read(self.control.advance(n, at, frac, bend=-moved / n))

    def _move_target(self, n: int) -> float:
        """By how much the target has come nearer to where it was set."""
        left = self.target_samples - self._target
        far = abs(left) > JUMP_S * self.rate
        step = left if far else min(max(left, -self._bend * n), self._bend * n)
        self._target += step
        return 0.0 if far else step

    def _jump(self, at: int, frac: float, n: int) -> None:
        if self._playing:
            self.reader.jump(self.control.peek(n))
        self.control.start(at, frac, keep_rate=self._playing)
        self._playing = True

    @property
    def ppm(self) -> float:
        """By how much the input's clock is faster than the output's."""
        return self.control.ppm

    @property
    def fill_samples(self) -> float:
        """What lies between what is read next and the newest sample."""
        return self.control.behind(self._pushed) if self._playing else float(self._pushed)

    @property
    def error_samples(self) -> float:
        """How far beyond the target the buffer was at the last pull, by the stamps: free of the blocks' length."""
        return self.control.error_samples

    @property
    def underruns(self) -> int:
        """How often it ran dry."""
        return self.reader.underruns

    @property
    def concealed_samples(self) -> int:
        """What was made up for samples that were not there."""
        return self.reader.concealed_samples
