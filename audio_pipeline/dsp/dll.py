"""A delay-locked loop: the true rate and phase of a clock from its jittery reports."""

from __future__ import annotations

from math import pi, sqrt

from audio_pipeline.errors import ConfigError

NS = 1e9
MAX_OFF = 1.01  # no crystal is off by more; reports that say so are wrong
OUTLIER = 4  # errors of more than so many times the usual one count as that much
LEAST_OUTLIER_NS = 200_000.0
JUMP_S = 0.05  # reports that are off by more are no jitter: the clock has jumped


class Dll:
    """Filters (position, host time) pairs of a device into a straight line.

    Second-order loop of F. Adriaensen, "Using a DLL to filter time" (Linux Audio Conference 2005), for
    reports at any distance: with omega = 2 pi B dt, phase gain sqrt(2) omega, rate gain omega^2. The
    bandwidth B falls as 1/(2t) from the first report to `bandwidth_hz`: it locks at once and is quiet later.
    """

    def __init__(self, rate: int, bandwidth_hz: float = 0.1) -> None:
        if rate < 1 or not 0 < bandwidth_hz < 10:
            raise ConfigError(f"a DLL needs a rate and a bandwidth below 10 Hz, got {rate}, {bandwidth_hz}")
        self._nominal_ns = NS / rate
        self._bandwidth = bandwidth_hz
        self._period_ns = self._nominal_ns  # of one sample
        self._position = 0
        self._time_ns: float | None = None
        self._elapsed_s = 0.0
        self._usual_ns = JUMP_S * NS  # size of an error, over the last second

    @property
    def rate(self) -> float:
        """The clock's true rate, Hz."""
        return NS / self._period_ns

    def update(self, position: int, host_ns: int) -> bool:
        """Takes a report: the clock stood at `position` at `host_ns`. True for the first and at a jump."""
        step = position - self._position
        predicted = self.host_ns_at(position) if self._time_ns is not None else 0.0
        error = host_ns - predicted
        if self._time_ns is None or step < 0 or abs(error) > JUMP_S * NS:
            self._position, self._time_ns = position, float(host_ns)
            self._elapsed_s, self._usual_ns = 0.0, JUMP_S * NS
            return True
        if step:
            self._correct(position, step, predicted, error)
        return False

    def _correct(self, position: int, step: int, predicted: float, error: float) -> None:
        dt = step * self._period_ns / NS
        error = self._without_outlier(error, dt)
        self._elapsed_s += dt
        bandwidth = max(self._bandwidth, 0.5 / (self._elapsed_s + dt))
        omega = min(2 * pi * bandwidth * dt, 0.5)
        self._position, self._time_ns = position, predicted + sqrt(2) * omega * error
        period = self._period_ns + omega**2 * error / step
        self._period_ns = min(max(period, self._nominal_ns / MAX_OFF), self._nominal_ns * MAX_OFF)

    def _without_outlier(self, error: float, dt: float) -> float:
        """A report that is far later than is usual tells of a busy host, not of the clock; a change stays usual."""
        usual = max(OUTLIER * self._usual_ns, LEAST_OUTLIER_NS)
        self._usual_ns += min(dt, 1.0) * (abs(error) - self._usual_ns)
        return min(max(error, -usual), usual)

    def host_ns_at(self, position: float) -> float:
        """Host time at which the clock stands at `position`."""
        return (self._time_ns or 0.0) + (position - self._position) * self._period_ns

    def position_at(self, host_ns: float) -> float:
        """Where the clock stands at a host time."""
        return self._position + (host_ns - (self._time_ns or 0.0)) / self._period_ns
