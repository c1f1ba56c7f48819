"""When a source or a mixer must act: schedules on the graph's clock, never repeated sleeps.

A source that can run ahead (a file) leads the clock by the latency of the slowest path behind it: after
start, seek and resume the lead goes out in one burst, so sound comes as soon as it is computed, and from
then on every node has its stated latency in hand.
"""

from __future__ import annotations

from audio_pipeline.clock import ClockLine

MAX_BEHIND_FRAMES = 5


class SourcePace:
    """Maps a source's own position to the clock: it has position p ready when the clock reads `clock_position(p)`."""

    def __init__(self, position: int, lead_samples: float) -> None:
        self.position = position
        self.lead_samples = lead_samples
        self.playing = False
        self.next_idle_ns = 0
        self.in_step = False  # the lead has gone out: what is sent from now on is sent when it is due
        self._offset = 0.0

    def play(self, clock_position: float) -> None:
        """From now on, with the lead at once."""
        self.playing, self.in_step = True, False
        self._offset = clock_position - self.position

    def clock_position(self, position: int) -> float:
        """Clock position at which the sample before `position` is due out."""
        return position + self._offset - self.lead_samples

    def due(self, now_position: float, frame_samples: int) -> bool:
        """True when the next frame should have been sent."""
        return self.playing and now_position >= self.clock_position(self.position + frame_samples)

    def deadline_ns(self, line: ClockLine, frame_samples: int) -> int | None:
        """Host time of the next frame, or of the next sign of idleness."""
        if not self.playing:
            return self.next_idle_ns
        return line.host_ns_at(self.clock_position(self.position + frame_samples))


class TickPace:
    """The frames of a mixer: frame [p, p + n) is put out when the clock reads p + n."""

    def __init__(self, frame_samples: int, line: ClockLine, now_ns: int, *, live: bool) -> None:
        self.frame_samples = frame_samples
        self.position = self._grid(line.position_at(now_ns)) if live else 0

    def _grid(self, position: float) -> int:
        return max(int(position // self.frame_samples), 0) * self.frame_samples

    def due(self, line: ClockLine, now_ns: int) -> bool:
        """True when the frame's time has come."""
        return now_ns >= self.deadline_ns(line)

    def deadline_ns(self, line: ClockLine) -> int:
        """Host time of the next frame."""
        return line.host_ns_at(self.position + self.frame_samples)

    def skip(self, line: ClockLine, now_ns: int) -> int:
        """After being held up: samples to leave out so as to be live again. A live sink is never fed faster."""
        behind = line.position_at(now_ns) - self.position
        if behind <= MAX_BEHIND_FRAMES * self.frame_samples:
            return 0
        target = self._grid(line.position_at(now_ns))
        skipped, self.position = target - self.position, target
        return skipped
