"""Sound that arrives when it likes goes in, sound without a break comes out."""

from __future__ import annotations

from math import floor

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.drift_control import DriftControl, Span
from audio_pipeline.dsp.drift_reader import FADE_MS, DriftReader
from audio_pipeline.dsp.jitter import LEAP_S, JitterTarget
from audio_pipeline.dsp.sinc import HALF

Samples = NDArray[np.float32]

SPARE_S = 0.003
FIRST_S = 0.06
STRETCH = 0.001  # of speed, beside the difference of the clocks
NS = 1e9


class JitterBuffer:
    """Between a stream from the network and a clock of this host.

    `push` takes samples by position with the host time at which they came, `pull` gives n samples, behind the last of
    which this host's clock stands at `host_ns`. A `DriftControl` follows what the quickest frames bring; what is heard
    lies `delay_s` behind that, which goes towards the `JitterTarget` by at most 0.1 % of speed. When the buffer runs
    dry it fades out within 5 ms and stands still, so that the delay grows by what was too little, up to `most_ms`;
    what stays away longer is left out, and sound goes on with the delay that was enough before.
    """

    def __init__(self, channels: int, rate: int, frame_samples: int, *, least_ms: float, most_ms: float) -> None:
        self.rate, self.channels = rate, channels
        spare_s = (frame_samples + HALF) / rate + SPARE_S
        self._most = most_ms / 1000 * rate
        self.target = JitterTarget(spare_s, max(least_ms / 1000, spare_s), most_ms / 1000, FIRST_S)
        self.control = DriftControl(rate)
        self.reader = DriftReader(channels, rate, round((2 * most_ms / 1000 + 2) * rate))
        self.skipped_samples = self.outages = self.held_samples = 0
        self._fade = rate * FADE_MS // 1000
        self.clear()

    def clear(self) -> None:
        """Another timeline begins: what is here is wanted no more."""
        self.reader.clear()
        self.target.clear()
        self._delay = 0.0  # samples between what the quickest frames brought and what is read
        self._entered = 0
        self._following = self._playing = self._standing = self._out = False
        self._tail = np.zeros((0, self.channels), np.float32)

    def push(self, position: int, x: Samples, arrival_ns: int) -> None:
        """Takes (n, channels) that came at `arrival_ns`."""
        self.target.arrived((position + len(x)) / self.rate, arrival_ns / NS)
        self.reader.write(position, x)

    def pull(self, n: int, host_ns: int) -> tuple[Samples, int]:
        """The next (n, channels), and how many of them are made up; before the first sound all of them."""
        if self.target.base_s is None or not n:
            return np.zeros((n, self.channels), np.float32), n
        line = self._follow(n, host_ns / NS)
        stood = self._standing
        if not self._playing:
            self._playing = self._enter(line)
        elif stood:
            self._standing = not self._go_on(line, host_ns / NS)
        if not self._playing or self._standing:
            self.held_samples += n if self._playing else 0
            return self._silence(n), n
        self._leap(line, from_silence=stood)
        tail = self._silence(n) if len(self._tail) else None  # fades out under what fades in
        sound, concealed = self._read(line)
        return self._faded_in(sound if tail is None else sound + tail), concealed

    def _follow(self, n: int, now_s: float) -> Span:
        """What the quickest frames bring in this block, at the speed of their clock."""
        newest = self.target.newest_at(now_s) * self.rate
        at = floor(newest)
        if not self._following or self.control.lost(at - n, newest - at):
            before = self.control.place if self._following else newest - n
            self.control.start(at - n, newest - at, keep_rate=self._following)
            self._delay += self.control.place - before  # what is read stays what it is
            self._following = True
        return self.control.advance(n, at, newest - at)

    @property
    def _wanted(self) -> float:
        return self.target.target_s * self.rate

    def _enter(self, line: Span) -> bool:
        self._delay = self._wanted
        return self.reader.available(_behind(line, self._delay, 0.0))

    def _go_on(self, line: Span, now_s: float) -> bool:
        """Dry: stands until the sound is there, or leaves out what stays away too long."""
        if not self._out and self.reader.available(_behind(line, self._delay, 0.0)):
            self.target.ran_dry(self._delay / self.rate, now_s)
            return True
        if self._delay <= self._most and not self._out:
            self._delay += line.advance
            return False
        self.outages += not self._out
        self._out = True
        if not self.reader.available(_behind(line, self._wanted, 0.0)):
            return False
        self._skip()
        self._out = False
        return True

    def _skip(self) -> None:
        self.skipped_samples += max(floor(self._delay - self._wanted), 0)
        self._delay = self._wanted

    def _leap(self, line: Span, *, from_silence: bool) -> None:
        """A delay that is far too long or short is mended at once, crossfaded."""
        if abs(self._delay - self._wanted) <= LEAP_S * self.rate:
            return
        old = _behind(line, self._delay, 0.0)
        if self.reader.available(old) and self.reader.available(_behind(line, self._wanted, 0.0)):
            if not from_silence:
                self.reader.jump(old)
            self._skip()

    def _read(self, line: Span) -> tuple[Samples, int]:
        n, most = line.samples, STRETCH * line.samples
        step = min(max(self._wanted - self._delay, -most), most)
        span = _behind(line, self._delay, step)
        before = self.reader.concealed_samples
        self._delay += step
        if self.reader.available(span):
            return self.reader.read(span), self.reader.concealed_samples - before
        longer = Span(span.at, span.frac, n + self._fade, 1.0, 1.0)  # the fade may end in the next block
        sound = self.reader.read(longer)
        self._delay += n - longer.advance
        self._standing, self._tail = True, sound[n:]
        return sound[:n], min(self.reader.concealed_samples - before, n)

    def _faded_in(self, sound: Samples) -> Samples:
        """The first sound of all may begin anywhere in a wave."""
        k = min(self._fade - self._entered, len(sound))
        if k <= 0:
            return sound
        ramp = (np.arange(self._entered, self._entered + k) / self._fade).astype(np.float32)
        self._entered += k
        return np.concatenate([sound[:k] * ramp[:, None], sound[k:]])

    def _silence(self, n: int) -> Samples:
        out = np.zeros((n, self.channels), np.float32)
        k = min(n, len(self._tail))
        out[:k], self._tail = self._tail[:k], self._tail[k:]
        return out

    @property
    def playing(self) -> bool:
        """True once sound came, also while it stands."""
        return self._playing

    @property
    def delay_s(self) -> float:
        """Of what is heard, behind what the quickest frames have brought."""
        return self._delay / self.rate

    @property
    def place(self) -> float:
        """What is read next."""
        return self.control.place - self._delay

    @property
    def fill_s(self) -> float:
        """Between what is read next and the newest sample."""
        return (self.control.behind(self.reader.end) + self._delay) / self.rate if self._playing else 0.0

    @property
    def underruns(self) -> int:
        """How often it ran dry."""
        return self.reader.underruns

    @property
    def late_samples(self) -> int:
        """What came when it should have been heard already."""
        return self.reader.late_samples

    @property
    def ppm(self) -> float:
        """By how much the other clock is faster."""
        return self.control.ppm


def _behind(line: Span, delay: float, step: float) -> Span:
    """The span `delay` samples before another, the delay growing by `step` on the way."""
    place = line.frac - delay
    whole = floor(place)
    slower = step / max(line.samples, 1)
    return Span(line.at + whole, place - whole, line.samples, line.ratio - slower, line.next_ratio - slower)
