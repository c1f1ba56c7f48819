"""An input device with everything between its thread and the frames that are sent."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.clock import HostClock
from audio_pipeline.devices.sound import InputDevice, rescan
from audio_pipeline.devices.speaker import Tick
from audio_pipeline.dsp.dll import Dll
from audio_pipeline.dsp.resample import StreamResampler
from audio_pipeline.dsp.seam import Seam
from audio_pipeline.errors import DeviceError

Samples = NDArray[np.float32]

KEPT_BLOCKS = 200
SPARE_NS = 20_000_000
FADE_MS = 5
MAX_HOLE_S = 1
START_S = 10


class Block(NamedTuple):
    """Sound from `position` on (graph samples); its newest sample was at the converter at `captured_ns`."""

    position: int
    data: Samples
    captured_ns: int
    concealed: bool = False  # what the card lost, in its place


class Microphone:
    """Gives what a card hears at the graph's rate, with positions.

    The first sample takes the graph's position at its time (`position_at`); from then on samples are counted,
    so that positions are free of jitter. What the card lost (up to a second, as its times tell) is made up: the
    last samples fade out, the next fade in. After more the position jumps to what the time says. Everything but
    the device's callback belongs to one thread.
    """

    def __init__(
        self,
        device: str,
        rate: int,
        channels: int,
        block: int,
        latency: Literal["low", "high"],
        wake: Callable[[], None],
        clock: HostClock,
    ) -> None:
        self._blocks: deque[tuple[Samples, int, int]] = deque(maxlen=KEPT_BLOCKS)
        self._wake, self._host = wake, clock
        self.device = InputDevice(device, rate, channels, block, self._push, latency=latency)
        self._rate, self._ratio = rate, rate / self.device.rate
        self._resampler = StreamResampler(self.device.rate, rate, self.device.channels)
        self._seam = Seam(self.device.channels, self.device.rate * FADE_MS // 1000)
        self._dll = Dll(self.device.rate)
        self._received = 0  # device samples
        self._next: int | None = None  # position of the next sample to give
        self._owed = 0.0  # graph samples inside the rate converter
        self._xruns = self.concealed_samples = 0
        self._tick: Tick | None = None
        self._steady = threading.Event()
        self.device.start()
        if not self._steady.wait(START_S):
            self.device.close()
            raise DeviceError(f"sound input {device!r} gave no sound for {START_S} s")

    @property
    def latency_samples(self) -> int:
        """Between air and `take`, in graph samples."""
        return round(self.device.latency_samples * self._ratio) + self._resampler.latency_samples

    def _push(self, x: Samples, adc_ns: int) -> None:
        """In the card's thread."""
        self._blocks.append((x, self._plausible(adc_ns, len(x)), self.device.xruns))
        self._steady.set()
        self._wake()

    def _plausible(self, adc_ns: int, samples: int) -> int:
        """When a block began, within what can be: its last sample was there by now, and not long ago.

        PulseAudio claims delays of 0.7 s in a stream's first seconds, then times of samples that are to come.
        """
        latency_ns, block_ns = (round(n * 1e9 / self.device.rate) for n in (self.device.latency_samples, samples))
        age_ns = self._host.now_ns() - adc_ns - block_ns
        if age_ns > 2 * latency_ns + SPARE_NS:
            age_ns = latency_ns
        return self._host.now_ns() - block_ns - max(age_ns, 0)

    def take(self, position_at: Callable[[int], float]) -> Iterator[Block]:
        """What came since the last call; the first call leaves out all but the newest block."""
        while self._blocks:
            x, adc_ns, xruns = self._blocks.popleft()
            if self._next is None and self._blocks:
                continue
            lost = self._lost(adc_ns) if self._next is not None and xruns != self._xruns else None
            self._xruns = xruns
            jumped = self._dll.update(self._received, adc_ns)
            if self._next is None or (lost or 0) > MAX_HOLE_S * self.device.rate:
                self._begin(round(position_at(adc_ns)))
                lost = None
            jumped |= self._tick is not None and self._tick.jumped
            start_ns = round(self._dll.host_ns_at(self._received))
            self._tick = Tick(self._received * self._ratio, start_ns, self._dll.rate * self._ratio, jumped)
            self._received += len(x)
            yield from self._joined(x, lost)

    def _lost(self, adc_ns: int) -> int:
        """Device samples between what came last and what was at the converter at `adc_ns`."""
        lost = max(round((adc_ns - self._dll.host_ns_at(self._received)) * self._dll.rate / 1e9), 0)
        self._received += lost
        return lost

    def _begin(self, position: int) -> None:
        """Positions start, or start anew behind what the card lost; they never go back."""
        self._next = max(self._next or 0, position)
        self._owed = 0.0
        self._resampler.reset()

    def _joined(self, x: Samples, lost: int | None) -> Iterator[Block]:
        if lost is None:
            yield from self._convert(self._seam.process(x))
            return
        concealed, x = self._seam.join(lost, x)
        self.concealed_samples += round(lost * self._ratio)
        for block in self._convert(concealed):
            yield block._replace(concealed=True)
        yield from self._convert(x)

    def _convert(self, x: Samples) -> Iterator[Block]:
        y = self._resampler.process(x)
        self._owed += len(x) * self._ratio - len(y)
        if len(y) and self._next is not None:
            newest_ns = self._dll.host_ns_at(self._received) - self._owed * 1e9 / self._rate
            yield Block(self._next, y, round(newest_ns))
            self._next += len(y)

    def clock(self) -> Tick | None:
        """The device's clock as it stood at the newest block; None while nothing new is known."""
        tick, self._tick = self._tick, None
        return tick

    def close(self) -> None:
        """Stops at once."""
        self.device.close()


def open_again(
    device: str,
    rate: int,
    channels: int,
    block: int,
    latency: Literal["low", "high"],
    wake: Callable[[], None],
    clock: HostClock,
) -> Microphone:
    """A microphone that may have been plugged in since this process began; DeviceError while it has not."""
    rescan()
    return Microphone(device, rate, channels, block, latency, wake, clock)
