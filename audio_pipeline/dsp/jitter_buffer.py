"""Sound that arrives when it likes goes in, sound without a break comes out."""

from __future__ import annotations

from math import floor

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.drift_control import DriftControl, Span
from audio_pipeline.dsp.drift_reader import FADE_MS, DriftReader
from audio_pipeline.dsp.fade import fade_out
from audio_pipeline.dsp.jitter import JitterTarget
from audio_pipeline.dsp.sinc import HALF

Samples = NDArray[np.float32]

SPARE_S = 0.003
FIRST_S = 0.06
STRETCH = 0.001  # of speed, beside the difference of the clocks
LOOP_HZ = 0.02  # of the drift loop at first: a millisecond of error is 0.02 % of speed, not heard
STEP_S = 0.003  # an error that is larger is no drift: the base was estimated anew, or the reader was held up
NS = 1e9


class JitterBuffer:
    """Between a stream from the network and a clock of this host.

    `push` takes samples by position with the host time at which they came, `pull` gives n samples, behind the last of
    which this host's clock stands at `host_ns`. A `DriftControl` follows what the quickest frames bring; what is
    played lies `delay_s` behind that, which goes towards the `JitterTarget` by at most 0.1 % of speed. Only a
    difference of the clocks is for the loop: it waits until the feed has settled, and a step of what it follows goes
    into the delay. When the buffer runs dry it fades out within 5 ms and stands still, so that the delay grows by what
    was too little, up to `most_ms`; what stays away longer is left out, and sound goes on with the delay that was
    enough before. All that begins, ends or is skipped is faded over 5 ms.
    """

    def __init__(self, channels: int, rate: int, frame_samples: int, *, least_ms: float, most_ms: float) -> None:
        self.rate, self.channels = rate, channels
        spare_s = (frame_samples + HALF) / rate + SPARE_S
        self._most = most_ms / 1000 * rate
        self.target = JitterTarget(spare_s, max(least_ms / 1000, spare_s), most_ms / 1000, FIRST_S)
        self.control = DriftControl(rate, first_hz=LOOP_HZ)
        self.reader = DriftReader(channels, rate, round((2 * most_ms / 1000 + 2) * rate))
        self.skipped_samples = self.outages = self.held_samples = 0
        self._fade = rate * FADE_MS // 1000
        self._tail = np.zeros((0, channels), np.float32)  # fades out
        self._playing = self._standing = False
        self.clear()

    def clear(self) -> None:
        """Another timeline begins: what is here is wanted no more, and fades out."""
        if self._playing and not self._standing:
            self._tail = self._ending()
        self.reader.clear()
        self.target.clear()
        self._delay = 0.0  # samples between what the quickest frames brought and what is read
        self._entered = 0
        self._following = self._playing = self._standing = self._waited = self._out = self._finishing = False

    def finish(self) -> None:
        """Nothing more comes on this timeline: what is here is played to its end, which is no underrun."""
        self._finishing = True

    def reset(self) -> None:
        """Another sender: its way is another as well."""
        self.clear()
        self.target.reset()

    def _ending(self) -> Samples:
        here = Span(self.control.at, self.control.frac, self._fade, 1.0, 1.0)
        sound = self.reader.read(_behind(here, self._delay, 0.0), counted=False)
        return sound * fade_out(self._fade)[:, None]

    def push(self, position: int, x: Samples, arrival_ns: int) -> None:
        """Takes (n, channels) that came at `arrival_ns`."""
        self.target.arrived((position + len(x)) / self.rate, arrival_ns / NS)
        self.reader.write(position, x)

    def pull(self, n: int, host_ns: int) -> tuple[Samples, int]:
        """The next (n, channels), and how many of them are concealed; before the first sound all of them."""
        if self.target.base_s is None or not n or (self._finishing and self._standing):
            return self._silence(n), n
        line = self._follow(n, host_ns / NS)
        stood = self._standing
        if not self._playing:
            self._playing = self._enter(line)
        elif stood:
            self._standing = not self._go_on(line, host_ns / NS)
        if not self._playing or self._standing:
            return self._silence(n), n
        self._leap(line, from_silence=stood)
        tail = self._silence(n) if len(self._tail) else None  # fades out under what fades in
        sound, concealed = self._read(line)
        sound = self._faded_in(sound)
        return sound if tail is None else sound + tail, concealed

    def _follow(self, n: int, now_s: float) -> Span:
        """What the quickest frames bring in this block, at the speed of their clock."""
        newest = self.target.newest_at(now_s) * self.rate
        at = floor(newest)
        frac = newest - at
        step = self.control.behind(at - n, frac)
        if not self._following or self.target.settling:
            self.control.start(at - n, frac)
        elif abs(step) > STEP_S * self.rate:
            self.control.move(at - n, frac)
        else:
            step = 0.0
        self._delay += step if self._following else 0.0  # what is read stays what it is
        self._following = True
        return self.control.advance(n, at, frac)

    @property
    def _wanted(self) -> float:
        return self.target.target_s * self.rate

    def _enter(self, line: Span) -> bool:
        self._delay = self._wanted
        return self.reader.available(_behind(line, self._delay, 0.0))

    def _go_on(self, line: Span, now_s: float) -> bool:
        """Dry: stands until the sound is there and the delay is what it should be, or leaves out what stays away.

        What is behind a hole is there already, so nobody waits for that: the hole takes the time that it lasts.
        """
        span = _behind(line, self._delay, 0.0)
        if self._out:
            return self._resume(line)
        is_here = self.reader.available(span)
        if is_here and (self._delay >= self._wanted or not self._waited):
            if self._waited:
                shown = self._delay + line.samples / 2  # sound is looked for once a block
                self.target.ran_dry(shown / self.rate, now_s)
            return True
        if not is_here and self.reader.is_past(span):
            return False
        self._waited = True
        self.held_samples += line.samples
        if self._delay <= self._most:
            self._delay += line.advance
            return False
        self.outages += 1
        self._out = True
        return self._resume(line)

    def _resume(self, line: Span) -> bool:
        """After an outage: goes on with the delay of before once there is sound at that place."""
        self._out = not self.reader.available(_behind(line, self._wanted, 0.0))
        if self._out:
            self.held_samples += line.samples
            return False
        self._skip()
        return True

    def _skip(self) -> None:
        self.skipped_samples += max(floor(self._delay - self._wanted), 0)
        self._delay = self._wanted

    def _leap(self, line: Span, *, from_silence: bool) -> None:
        """A delay that is far too long or short is mended at once, crossfaded."""
        if abs(self._delay - self._wanted) <= self.target.leap_s * self.rate:
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
        sound = self.reader.read(longer, counted=not self._finishing)
        self._delay += n - longer.advance
        self._standing, self._waited, self._tail = True, False, sound[n:]
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
    def sounding(self) -> bool:
        """True while there is sound to give, a fade included."""
        return (self._playing and not self._standing) or len(self._tail) > 0

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
