"""Joins a stream that may run dry with its standby, by position and without a click."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import ConfigError


class Switch:
    """Crossfades to the standby so that the fade ends where the primary runs out, and back again.

    With r = primary samples left from a sample on, the weight is level / fade_samples, where
    level = min(level + 1, fade_samples, r): it falls with r to 0 at the first absent sample, rises by one
    step a sample, and in integers is the same for every block size. Primary and standby are the same
    programme at the same position (a separated mix and the dry one), hence correlated: their amplitudes
    add, so equal gain (w, 1 - w) keeps the level where equal power would swell it by 3 dB midway.

    After a dry spell the fade in starts once `enter_samples` are ready (default: room for one fade in and
    one out), so that crumbs do not make it flutter. The level can only jump where the run was cut short
    behind the caller's back: absent samples are never used, not even for a fade.
    """

    def __init__(self, channels: int, fade_samples: int, enter_samples: int | None = None) -> None:
        if channels < 1 or fade_samples < 1:
            raise ConfigError(
                f"a switch needs at least 1 channel and a fade of 1 sample, got {channels} and {fade_samples}"
            )
        self._channels = channels
        self._fade = fade_samples
        self._enter = 2 * fade_samples if enter_samples is None else enter_samples
        self._level = fade_samples

    @property
    def weight(self) -> float:
        """Weight of the primary in the last sample put out; 1 before the first."""
        return self._level / self._fade

    def process(
        self, primary: NDArray[np.float32], primary_run: int, standby: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Join one block; `primary_run` counts the primary's samples from the block's first on, without
        a hole, and looks past the block: below n + fade_samples the fade out begins within it.

        All of shape (n, channels). A primary that resumes behind a hole is used from the next block on.
        """
        n = len(standby)
        if primary.shape != standby.shape or standby.shape[1:] != (self._channels,):
            raise ConfigError(
                f"switch: primary {primary.shape} and standby {standby.shape} must be (n, {self._channels})"
            )
        if n == 0:
            return standby
        level = self._levels(n, primary_run)
        self._level = int(level[-1])
        if level[0] == level[-1] == self._fade:
            return primary
        if level[0] == 0:
            return standby
        used = min(max(primary_run, 0), n)
        w: NDArray[np.float32] = (level[:used, None] / self._fade).astype(np.float32)
        out: NDArray[np.float32] = standby.copy()
        out[:used] = standby[:used] * (1 - w) + primary[:used] * w
        return out

    def _levels(self, n: int, run: int) -> NDArray[np.int64]:
        if self._level == 0 and run < self._enter:
            return np.zeros(n, np.int64)
        i = np.arange(n)
        return np.clip(np.minimum(self._level + 1 + i, run - i), 0, self._fade)
