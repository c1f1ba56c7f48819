"""One input of an aligned node: what arrived, what stands by for it, and the fades between them."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np

from audio_pipeline.align.concealed_spans import ConcealedSpans
from audio_pipeline.dsp.extend import Extension
from audio_pipeline.dsp.mute import Mute
from audio_pipeline.dsp.ring import PositionRing
from audio_pipeline.dsp.switch import Switch
from audio_pipeline.frame import Samples, tag_of
from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.refs import LinkKey

FOREVER = 1 << 40


@dataclass(frozen=True)
class AlignSpec:
    """A planned link as an aligner holds it."""

    key: LinkKey
    plan: LinkPlan
    channels: int
    capacity_samples: int  # at first what is planned; it only grows


class _Fader:
    """Fades from a stream to its stand-in where it runs dry, and back when a whole frame is there again."""

    def __init__(self, channels: int, frame_samples: int, fade_samples: int) -> None:
        self._channels = channels
        self._extension = Extension(channels, fade_samples)
        self._switch = Switch(channels, fade_samples, enter_samples=fade_samples + frame_samples)

    def process(self, x: Samples, run: int, standby: Samples) -> tuple[Samples, int]:
        """The joined block (n, channels) and how many of its samples are the stream's own."""
        continued, usable, run = self._extension.process(x, run)
        return self._switch.process(continued, usable, standby), min(run, len(x))

    def run_dry(self) -> None:
        """What comes next fades in."""
        nothing = np.zeros((1, self._channels), np.float32)
        self._switch.process(nothing, 0, nothing)


class AlignInput:
    """The rings of one input and what is known of it."""

    def __init__(self, spec: AlignSpec, frame_samples: int, fade_samples: int, *, live: bool) -> None:
        self.key, self.plan, self.channels = spec.key, spec.plan, spec.channels
        self._frame, self._fade, self._live = frame_samples, fade_samples, live
        self.held = np.zeros((1, spec.channels), np.float32)
        self.idle = False
        self.audible = True  # False: it waits for its turn
        self.standby_first: int | None = None
        self.concealed, self.standby_concealed = ConcealedSpans(), ConcealedSpans()
        self._mute = Mute(spec.plan.muted, 2 * fade_samples)
        self.tag = tag_of(spec.plan.timeline)
        self.sources: tuple[tuple[int, int], ...] = ()  # of the newest frame, where it is a mix itself
        self.allocate(spec.capacity_samples)
        self.forget()
        self._main, self._reserve = self._fader(), self._fader()

    def _fader(self) -> _Fader:
        return _Fader(self.channels, self._frame, self._fade)

    def allocate(self, capacity_samples: int) -> None:
        """Fresh rings."""
        self.capacity_samples = capacity_samples
        self.ring = PositionRing(self.channels, capacity_samples)
        self.standby = PositionRing(self.channels, capacity_samples) if self.plan.has_standby else None

    def adopt(self, spec: AlignSpec) -> None:
        """Other terms for what goes on: a longer ring keeps what it holds."""
        if spec.plan.has_standby != (self.standby is not None):
            self.standby = PositionRing(spec.channels, spec.capacity_samples) if spec.plan.has_standby else None
            self.standby_first = None
        capacity = max(spec.capacity_samples, self.capacity_samples)
        for ring in (self.ring, self.standby):
            if ring is not None:
                ring.grow(capacity)
        self.plan, self.channels, self.capacity_samples = spec.plan, spec.channels, capacity

    def enlarge(self, capacity_samples: int) -> None:
        """A longer ring for the stream itself, with what it holds."""
        self.ring.grow(capacity_samples)
        self.capacity_samples = capacity_samples

    def mute(self, muted: bool) -> None:
        """Fades to silence, or back."""
        self._mute.turn(muted)

    def forget(self) -> None:
        """A new generation: nothing has come yet."""
        for held in (self.ring, self.standby, self.concealed, self.standby_concealed):
            if held is not None:
                held.clear()
        self.first: int | None = None
        self.standby_first = None
        self.due_ns = 0
        self.capture: tuple[int, int, int] | None = None  # position, host time of capture, rate
        self.ended_at: int | None = None
        self.nothing_before = 0  # offline: the stream goes on at this position, after a hole
        self.full_since_ns: int | None = None
        self._next: int | None = None  # position that is read next; None before the first read

    @property
    def rate(self) -> int:
        return self.capture[2] if self.capture else 1

    def due_at(self, position: int) -> int:
        """Host time by which the sample at `position` has arrived if every node keeps its word."""
        return self.due_ns + (position - (self.first or 0)) * 1_000_000_000 // self.rate

    def run(self, position: int) -> int:
        """True samples available from `position` on; without end after the stream's END."""
        run = self.ring.run(position)
        return FOREVER if self.ended_at is not None and position + run >= self.ended_at else run

    @property
    def in_hand(self) -> int:
        """True samples that have come and were not read yet, without a hole."""
        return 0 if self._next is None else self.run(self._next)

    def read(self, position: int, n: int) -> tuple[Samples, int]:
        """The block at `position` as it will be played, and the number of its concealed samples."""
        block, true = self._joined(position, n)
        self._next = position + n
        for held in (self.ring, self.standby, self.concealed, self.standby_concealed):
            if held is not None:
                held.discard_before(self._next)
        if true == n:
            self.held = block
        return self._mute.process(block), n - true

    def _joined(self, position: int, n: int) -> tuple[Samples, int]:
        """The stream with what stands in for it where it has nothing, and how many samples are its own."""
        block = self.ring.read(position, n)
        if not self._live:  # offline links are lossless and in order: where nothing is, nothing was sent
            return block, n
        run = self._worth(position, n, self.run(position))
        return self._main.process(block, run, self._stand_in(position, n))

    def _worth(self, position: int, n: int, run: int) -> int:
        """`run`, cut where the node made up its own input while what stands by has the true one."""
        if self.standby is None:
            return run
        end = position + min(run, n + self._fade)
        begin = self.concealed.first_in(position, end)
        if begin is None or self.standby_concealed.first_in(begin, begin + 1) is not None:
            return run
        lasts = self.standby.run(begin) >= position + n + self._fade - begin
        return begin - position if lasts else run

    def _stand_in(self, position: int, n: int) -> Samples:
        if self.standby is not None:
            block, silent = self.standby.read(position, n), np.zeros((n, self.channels), np.float32)
            return self._reserve.process(block, self.standby.run(position), silent)[0]
        if self.plan.on_loss == "hold":
            return np.resize(self.held, (n, self.channels))
        return np.zeros((n, self.channels), np.float32)

    def fade_out(self) -> Samples:
        """What would be heard next, faded to silence; whatever comes after it fades in.

        The rings keep it: what is heard sooner by a frame shorter than the fade begins within it.
        """
        tail = np.zeros((self._fade, self.channels), np.float32)
        if self._next is not None:
            ramp = np.linspace(1.0, 0.0, self._fade, endpoint=False, dtype=np.float32)[:, None]
            tail = copy(self._mute).process(self._joined(self._next, self._fade)[0]) * ramp
        self._main, self._reserve = self._fader(), self._fader()
        for fader in (self._main, self._reserve):
            fader.run_dry()
        return tail
