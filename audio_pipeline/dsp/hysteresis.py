"""From probabilities to segments with exact edges, and a gate that follows the edges."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import ConfigError


class Edge(NamedTuple):
    """A segment starts (`on`) or ends at a position; the end is one past its last sample."""

    position: int
    on: bool


class Hysteresis:
    """A segment starts where the probability reaches `enter`, ends where it fell below `leave`.

    A start counts once it has lasted `min_on_samples` without falling below `leave`; an end counts once
    `min_off_samples` have passed without reaching `enter` again. Edges are moved outwards by `pad_samples`,
    never over the previous end or the stream's start; they are reported when they are certain,
    `latency_samples` later at most.
    """

    def __init__(
        self, enter: float, leave: float, min_on_samples: int, min_off_samples: int, pad_samples: int = 0
    ) -> None:
        if not 0.0 <= leave <= enter <= 1.0:
            raise ConfigError(f"hysteresis needs 0 <= leave <= enter <= 1, got {leave} and {enter}")
        if min(min_on_samples, pad_samples) < 0 or pad_samples > min_off_samples:
            raise ConfigError(
                f"hysteresis needs min_on >= 0 and 0 <= pad <= min_off, got {min_on_samples}, {pad_samples} "
                f"and {min_off_samples} samples"
            )
        self.enter, self.leave = enter, leave
        self._min_on, self._min_off, self._pad = min_on_samples, min_off_samples, pad_samples
        self.reset()

    @property
    def latency_samples(self) -> int:
        """How much later than an edge's position it may be reported, window length aside."""
        return max(self._min_on + self._pad, self._min_off)

    @property
    def on(self) -> bool:
        """Whether a start was reported and its end was not."""
        return self._on

    def reset(self) -> None:
        """Forget everything, without an end edge."""
        self._on = False
        self._since: int | None = None  # position of a start or end that is not certain yet
        self._floor: int | None = None  # nothing may be reported before it
        self._next: int | None = None

    def push(self, position: int, samples: int, probability: float) -> list[Edge]:
        """The edges that become certain with the window [position, position + samples).

        A jump in position ends what was open at the end of the window before it.
        """
        edges = self.flush() if self._next not in (None, position) else []
        if self._floor is None:
            self._floor = position
        self._next = position + samples
        edge = self._while_on(position, probability) if self._on else self._while_off(position, probability)
        return [*edges, edge] if edge else edges

    def _while_off(self, position: int, probability: float) -> Edge | None:
        if self._since is None and probability >= self.enter:
            self._since = position
        elif probability < self.leave:
            self._since = None
        if self._since is None or self._end - self._since < self._min_on:
            return None
        start = max(self._since - self._pad, self._floor or 0)
        self._on, self._since = True, None
        return Edge(start, True)

    def _while_on(self, position: int, probability: float) -> Edge | None:
        if probability >= self.enter:
            self._since = None
        elif self._since is None and probability < self.leave:
            self._since = position
        if self._since is None or self._end - self._since < self._min_off:
            return None
        return self._close(self._since + self._pad)

    @property
    def _end(self) -> int:
        return self._next or 0

    def _close(self, position: int) -> Edge:
        self._on, self._since, self._floor = False, None, position
        return Edge(position, False)

    def flush(self) -> list[Edge]:
        """End the stream: closes an open segment, drops a start that was not certain."""
        end = self._end if self._since is None else min(self._since + self._pad, self._end)
        edges = [self._close(end)] if self._on else []
        self.reset()
        return edges


class Gate:
    """Opens and closes in straight lines at the positions of edges, `hold_samples` after an end.

    Sample-exact for edges handed over before the audio at their position (delay the audio by the detector's
    latency); a late one acts at once. The gain follows from the last change alone, whatever the block size.
    """

    def __init__(self, attack_samples: int, hold_samples: int, release_samples: int) -> None:
        if min(attack_samples, hold_samples, release_samples) < 0:
            raise ConfigError(
                f"gate times must be 0 or longer, got attack {attack_samples}, hold {hold_samples}, "
                f"release {release_samples} samples"
            )
        self._attack, self._hold, self._release = attack_samples, hold_samples, release_samples
        self._changes: list[Edge] = []
        self._from = Edge(0, False)
        self._from_gain = 0.0

    @property
    def pending(self) -> int:
        """Changes that still lie ahead."""
        return len(self._changes)

    def edge(self, edge: Edge) -> None:
        """Note an edge; a start before a held end takes effect undoes that end."""
        at = Edge(edge.position if edge.on else edge.position + self._hold, edge.on)
        self._changes = [c for c in self._changes if c.position < at.position] + [at]

    def process(self, position: int, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """`x` (n, channels) at `position` times the gate's gain."""
        gain = np.empty(len(x), np.float32)
        at, end = position, position + len(x)
        while at < end:
            self._take_changes(at)
            stop = min(self._changes[0].position if self._changes else end, end)
            gain[at - position : stop - position] = self._gains(at, stop)
            at = stop
        return x * gain[:, None]

    def _take_changes(self, at: int) -> None:
        while self._changes and self._changes[0].position <= at:
            on = self._changes.pop(0).on
            if on != self._from.on:
                self._from_gain = float(self._gains(at - 1, at)[0])
                self._from = Edge(at, on)

    def _gains(self, start: int, stop: int) -> NDArray[np.float64]:
        length = self._attack if self._from.on else self._release
        t = (np.arange(start, stop) - self._from.position + 1) / max(length, 1)
        return np.clip(self._from_gain + (t if self._from.on else -t), 0.0, 1.0)
