"""An output device with everything between its thread and the frames that arrive."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.clock import HostClock
from audio_pipeline.devices.sound import OutputDevice, rescan
from audio_pipeline.devices.sound_stream import NullOutput, Pull
from audio_pipeline.dsp.dll import Dll
from audio_pipeline.dsp.playout import Playout
from audio_pipeline.dsp.ramp import Ramp
from audio_pipeline.dsp.resample import StreamResampler
from audio_pipeline.errors import DeviceError

Samples = NDArray[np.float32]

KEPT_BLOCKS = 500
END_SPARE_S = 0.5
ENTRANCE_MS = 10
STEADY_BLOCKS = 10  # beyond its buffer, which it may fill at once and then pause (PulseAudio: for 2 s)
START_S = 10


class PlaybackTime(NamedTuple):
    """Content `position` leaves the loudspeaker at `host_ns`."""

    position: float
    host_ns: int


class Played(NamedTuple):
    """A block that went out at `host_ns`, as it was heard."""

    position: int
    data: Samples
    host_ns: int


class Tick(NamedTuple):
    """The device's clock: at `host_ns` it stood at `position` (graph samples since it started), at `rate` Hz."""

    position: float
    host_ns: int
    rate: float
    jumped: bool


class _Gate:
    """Between a card that has just been started and who will play on it: silence until it takes sound steadily."""

    def __init__(self, pull: Pull, channels: int) -> None:
        self._pull, self._channels = pull, channels
        self._given = 0
        self.steady_at = 0
        self.steady = threading.Event()
        self.open = False

    def pull(self, n: int, dac_ns: int) -> Samples:
        if self.open:
            return self._pull(n, dac_ns)
        self._given += n
        if self.steady_at and self._given >= self.steady_at:
            self.steady.set()
        return np.zeros((n, self._channels), np.float32)


class Speaker:
    """Plays frames by position on a card, or on none; `playout` does the joining and counts what is missing.

    Everything but `pull` belongs to the node's thread. `wake` is called after each pull.
    """

    def __init__(self, rate: int, channels: int, wake: Callable[[], None]) -> None:
        self.playout = Playout(channels, rate)
        self.played: deque[Played] = deque(maxlen=KEPT_BLOCKS)
        self.playback_time: PlaybackTime | None = None
        self.stream_opens = 0
        self.delay_ns = 0  # between the newest pull and its first sample's way out, as the card has it now
        self.next_tick_ns: int | None = None  # when nobody but `tick` pulls
        self._rate, self._channels, self._wake = rate, channels, wake
        self._entrance = Ramp(1.0, 0)
        self._lock = threading.Lock()
        self._drained = threading.Event()
        self._pulls: deque[tuple[int, int]] = deque(maxlen=KEPT_BLOCKS)  # device samples, time of the next one

    def open_card(self, device: str, block: int, latency: Literal["low", "high"]) -> None:
        """Starts a card; DeviceError where there is none or it refuses."""
        card = OutputDevice(device, self._rate, self._channels, block, self.pull, latency=latency)
        self._use(card)
        self._steady_at = 2 * card.latency_samples + STEADY_BLOCKS * block
        card.start()
        if not self._steady.wait(START_S):
            card.close()
            raise DeviceError(f"sound output {device!r} took no sound for {START_S} s")
        self._delay_samples = max(round(median(self._ahead_ns) * card.rate / 1e9), card.latency_samples)
        self._pulls.clear()

    def warm_card(self, device: str, block: int, latency: Literal["low", "high"]) -> OutputDevice:
        """A card that runs and gets silence until it is `adopt`ed; from any thread. Raises DeviceError."""
        rescan()
        gate = _Gate(self.pull, self._channels)
        card = OutputDevice(device, self._rate, self._channels, block, gate.pull, latency=latency)
        gate.steady_at = 2 * card.latency_samples + STEADY_BLOCKS * block
        card.start()
        if not gate.steady.wait(START_S):
            card.close()
            raise DeviceError(f"sound output {device!r} took no sound for {START_S} s")
        self._gate = gate
        return card

    def adopt(self, card: OutputDevice) -> None:
        """From now on this card plays, from where the last one stopped; it fades in."""
        self.device.close()
        with self._lock:
            self._use(card)
            self._entrance = Ramp(0.0, self._rate * ENTRANCE_MS // 1000)
            self._entrance.set(1.0)
        self._gate.open = True

    def open_null(self, block: int, clock: HostClock) -> None:
        """Plays into nothing; `tick` must be called when `next_tick_ns` is reached."""
        self._use(NullOutput(self._rate, self._channels, block, self.pull, clock))
        self.next_tick_ns = clock.now_ns()

    def _use(self, device: OutputDevice | NullOutput) -> None:
        self.device = device
        self.next_tick_ns = None
        self._ratio = self._rate / device.rate
        self._resampler = StreamResampler(self._rate, device.rate, self._channels)
        self._ready = np.zeros((0, self._channels), np.float32)
        self._delivered = self._taken = 0
        self._dll = Dll(device.rate)
        self._pulls.clear()
        self._steady = threading.Event()
        self._steady_at = 0
        self._delay_samples = device.latency_samples
        self._ahead_ns: deque[int] = deque(maxlen=STEADY_BLOCKS // 2)
        self.stream_opens += 1

    @property
    def latency_samples(self) -> int:
        """Between pull and air, in graph samples: what the card states, or more where its first pulls showed more."""
        return round((self._delay_samples + self._resampler.latency_samples) * self._ratio)

    @property
    def alive(self) -> bool:
        """False where a card has gone."""
        return self.next_tick_ns is not None or self.device.active

    def tick(self) -> None:
        """Without a card: pulls what is due."""
        if isinstance(self.device, NullOutput):
            self.device.tick()
            samples, host_ns = self._pulls[-1]
            self.next_tick_ns = host_ns + round((self._delivered - samples) * 1e9 / self.device.rate)

    def write(self, position: int, x: Samples, wait_samples: int) -> None:
        """As `Playout.write`."""
        with self._lock:
            self._drained.clear()
            self.playout.write(position, x, wait_samples)

    def cancel(self) -> None:
        """Silence within 10 ms."""
        with self._lock:
            self.playout.cancel()

    def finish(self) -> None:
        """No more will come: returns when the last sample has been heard; at once without a card."""
        with self._lock:
            self.playout.finish()
            left_s = self.playout.pending_samples / self._rate
        if self.next_tick_ns is None and left_s > 0:
            self._drained.wait(left_s + END_SPARE_S)
            threading.Event().wait(self.latency_samples / self._rate)

    def close(self) -> None:
        """Stops at once."""
        self.device.close()

    def clock(self) -> Tick | None:
        """The device's clock, filtered; None while nothing new is known."""
        jumped, last = False, None
        while self._pulls:
            last, host_ns = self._pulls.popleft()
            jumped |= self._dll.update(last, host_ns)
        if last is None:
            return None
        return Tick(last * self._ratio, round(self._dll.host_ns_at(last)), self._dll.rate * self._ratio, jumped)

    def pull(self, n: int, dac_ns: int) -> Samples:
        """The device's next (n, channels), the first of which is heard at `dac_ns`."""
        self._pulls.append((self._delivered, dac_ns))
        self.delay_ns = dac_ns - time.monotonic_ns()
        if not self._steady.is_set():
            self._ahead_ns.append(self.delay_ns)
        if self.playout.head is not None:  # what was taken and not delivered yet is in the rate converter
            inside = self._taken - self._delivered * self._ratio
            self.playback_time = PlaybackTime(self.playout.head - inside, dac_ns)
        while len(self._ready) < n:
            self._more(n - len(self._ready), dac_ns)
        out, self._ready = self._ready[:n], self._ready[n:]
        self._delivered += n
        if self._delivered >= self._steady_at:
            self._steady.set()
        self._wake()
        return out

    def _more(self, missing: int, dac_ns: int) -> None:
        count = int(np.ceil(missing * self._ratio))
        with self._lock:
            position = self.playout.head
            block = self._entrance.process(self.playout.read(count))
            if self.playout.drained:
                self._drained.set()
        self._taken += count
        if position is not None:
            self.played.append(Played(position, np.clip(block, -1.0, 1.0), dac_ns))
        self._ready = np.concatenate([self._ready, self._resampler.process(block)])


def open_speaker(speaker: Speaker, device: str, block: int, latency: Literal["low", "high"], clock: HostClock) -> str:
    """Opens a card, `null`, or with `auto` the default card or else `null`; returns why it is silent, or nothing."""
    if device == "null":
        speaker.open_null(block, clock)
        return ""
    try:
        speaker.open_card("default" if device == "auto" else device, block, latency)
    except DeviceError as error:
        if device != "auto":
            raise
        speaker.open_null(block, clock)
        return str(error)
    return ""
