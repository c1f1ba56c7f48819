"""When chirps of one signal come back in another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.service.browser.stage import EVERY_S, chirp

FLOOR = 0.3  # of the largest peak: less is no chirp


def places(x: NDArray[np.float32], rate: int) -> list[int]:
    """Where the chirps begin, by a matched filter; each is the largest peak within 200 ms."""
    reference = chirp(rate)
    match = np.abs(np.fft.irfft(np.fft.rfft(x, 2 * len(x)) * np.conj(np.fft.rfft(reference, 2 * len(x))))[: len(x)])
    floor, apart, found = FLOOR * match.max(), round(0.2 * rate), []
    while len(found) < len(x) / rate / EVERY_S + 1 and match.max() > max(floor, 1e-3):
        at = int(match.argmax())
        found.append(at)
        match[max(at - apart, 0) : at + apart] = 0
    return sorted(found)


def lags_ms(sent: NDArray[np.float32], back: NDArray[np.float32], rate: int) -> list[tuple[float, float]]:
    """For each chirp in `sent` that came back within half a second: when it was, in s, and its delay, in ms."""
    returned = np.array(places(back, rate))
    lags = []
    for at in places(sent, rate):
        later = returned[(returned >= at) & (returned < at + EVERY_S * rate)]
        if len(later):
            lags.append((at / rate, (int(later[0]) - at) / rate * 1e3))
    return lags
