"""A phase vocoder's frames: spectra of the input put in phase with the output before them.

J. Laroche, M. Dolson, "Improved phase vocoder time-scale modification of audio" (IEEE Trans. SAP 7(3), 1999): phases
are carried on at the peaks of the spectrum, and the bins around a peak turn with it. A peak's advance is measured
between two analysis frames that lie one synthesis hop apart, so no phase is ever unwrapped, and at speed 1 every
rotation is the identity.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

NEIGHBOURS = 2  # bins on either side that a peak exceeds
SILENT = 1e-30  # power below which a bin has no phase
ROSE = 2.0  # in power
NO_ANGLE = 1e-9  # radians: what rounding leaves of none


class Vocoder:
    """One rotation a peak and frame, the same in all channels, so that the place between them stays exact."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The next frame keeps its own phases."""
        self._before: Complexes | None = None  # what went out last (channels, bins)
        self.is_input = True  # whether the last frame went out as it came in

    def next(self, now: Complexes, earlier: Complexes, towards: float = 0.0, *, begins: bool = False) -> Complexes:
        """The spectrum (channels, bins) that follows the last one.

        `now` and `earlier` are spectra of the input, `earlier` one synthesis hop before `now`. `towards` is the share
        of each rotation that is taken back (1: the input's own phases). Where something `begins`, bins that rose by
        3 dB have no past that they could be in phase with, and get the input's own.
        """
        turn = np.zeros(now.shape[1]) if self._before is None else self._turn(now, earlier) * (1.0 - towards)
        if begins:
            turn[_power(now) > ROSE * _power(earlier)] = 0.0
        self.is_input = bool(np.all(np.abs(turn) < NO_ANGLE))
        self._before = now if self.is_input else now * np.exp(1j * turn)
        return self._before

    def _turn(self, now: Complexes, earlier: Complexes) -> Floats:
        """Angle of each bin (bins,): that of the peak next to it."""
        power = _power(now)
        peaks = peaks_of(power)
        if not len(peaks):
            return np.zeros(len(power))
        advanced: Any = np.sum(self._before[:, peaks] * np.conj(earlier[:, peaks]), axis=0)  # type: ignore[index]
        angles = np.where(np.abs(advanced) > SILENT, np.angle(advanced), 0.0)
        return np.asarray(angles[_regions(peaks, len(power))])


def _power(spectrum: Complexes) -> Floats:
    """Of all channels together (bins,)."""
    return np.asarray(np.sum(spectrum.real**2 + spectrum.imag**2, axis=0))


def peaks_of(power: Floats) -> NDArray[np.intp]:
    """Bins that exceed their neighbours, and stand above silence.

    >>> peaks_of(np.array([0.0, 1, 5, 1, 0, 0, 2, 9, 2, 0])).tolist()
    [2, 7]
    """
    padded = np.pad(power, NEIGHBOURS)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1)
    return np.flatnonzero((power >= around.max(axis=1)) & (power > SILENT))


def _regions(peaks: NDArray[np.intp], bins: int) -> NDArray[np.intp]:
    """For each bin (bins,): which of the peaks is nearest."""
    return np.searchsorted((peaks[1:] + peaks[:-1]) / 2, np.arange(bins), side="left")
