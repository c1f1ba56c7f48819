"""Takes one sound back while another is heard."""

from __future__ import annotations

from typing import Any

import numpy as np

from audio_pipeline.errors import ConfigError

Array = np.ndarray[Any, np.dtype[np.float32]]

HOP_S = 0.01  # over which the level of the key is measured, so also how much later the gain begins to move
HOLD_S = 0.3  # after the last loud hop the gain stays down: pauses between words are shorter


class Ducker:
    """A gain that goes to `db` within `attack_ms` of the key getting loud, and back in `release_ms` after it has ended.

    The gain moves in a straight line in decibels. It depends on the key alone, sample by sample, so it does not
    matter how the sound is cut.
    """

    def __init__(self, rate: int, *, db: float, attack_ms: float, release_ms: float, threshold_db: float) -> None:
        if db > 0 or attack_ms <= 0 or release_ms <= 0:
            raise ConfigError(f"duck: expected db <= 0 and times > 0, got {db:g} dB, {attack_ms:g}, {release_ms:g} ms")
        self._hop, self._hold = round(rate * HOP_S), round(rate * HOLD_S)
        self._down_db, self._power = db, 10 ** (threshold_db / 10)
        self._attack_db, self._release_db = (-db * 1000 / (ms * rate) for ms in (attack_ms, release_ms))  # a sample
        self._sum, self._count = 0.0, 0  # of the hop that is coming in
        self._held = 0  # samples for which it stays down
        self._gain_db = 0.0

    def gains(self, key: Array) -> Array:
        """The factors (samples,) for the other sound, for the same samples of the key (samples, channels)."""
        found = [np.zeros(0, np.float32)]
        while len(key):
            part, key = key[: self._hop - self._count], key[self._hop - self._count :]
            found.append(self._move(len(part)))
            self._measure(part)
        return np.concatenate(found)

    def _measure(self, part: Array) -> None:
        self._sum += float(np.sum(np.mean(np.square(part, dtype=np.float64), axis=1)))
        self._count += len(part)
        self._held = max(self._held - len(part), 0)
        if self._count == self._hop:
            if self._sum > self._power * self._hop:
                self._held = self._hold
            self._sum, self._count = 0.0, 0

    def _move(self, samples: int) -> Array:
        steps = np.arange(1, samples + 1)
        down = min(samples, self._held)
        path = np.maximum(self._gain_db - self._attack_db * steps[:down], self._down_db)
        last = float(path[-1]) if down else self._gain_db
        path = np.concatenate([path, np.minimum(last + self._release_db * steps[: samples - down], 0.0)])
        self._gain_db = float(path[-1])
        return np.asarray(10 ** (path / 20), np.float32)
