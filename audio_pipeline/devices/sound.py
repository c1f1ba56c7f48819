"""Sound cards, through PortAudio: the one place where `sounddevice` is imported, and only when needed."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.devices.sound_stream import NullOutput, Output, Pull, Push, SoundStream
from audio_pipeline.dsp.fade import fade_in
from audio_pipeline.errors import DeviceError

__all__ = ["Device", "InputDevice", "NullOutput", "Output", "OutputDevice", "find", "list_devices", "rescan"]

Kind = Literal["input", "output"]
Latency = float | Literal["low", "high"]

INSTALL = (
    "install it with `apt install libportaudio2` (Debian, Ubuntu), `dnf install portaudio` (Fedora), "
    "`brew install portaudio` (macOS); PulseAudio and PipeWire need `apt install libasound2-plugins` as well"
)
FADE_MS = 5
MAX_AHEAD_S = 10  # no card buffers more: a time beyond is none


_LOCK = threading.RLock()  # PortAudio's list and streams are for one thread at a time
_OPEN: WeakSet[SoundStream] = WeakSet()  # not closed yet, whether or not their card is still there


class Format(NamedTuple):
    """What a stream is asked for."""

    rate: int
    channels: int
    block: int


@dataclass(frozen=True)
class Device:
    """A sound device as PortAudio lists it; `rate` is the one it prefers, in Hz."""

    index: int
    name: str
    host_api: str
    inputs: int
    outputs: int
    rate: int
    is_default_input: bool
    is_default_output: bool

    def channels(self, kind: Kind) -> int:
        """How many channels it has in one direction."""
        return self.inputs if kind == "input" else self.outputs

    def is_default(self, kind: Kind) -> bool:
        """Whether the system would choose it."""
        return self.is_default_input if kind == "input" else self.is_default_output


def list_devices() -> list[Device]:
    """All sound devices, none on a host without a card; DeviceError without PortAudio."""
    sd = _portaudio()
    with _LOCK:
        apis, (default_input, default_output), found = sd.query_hostapis(), sd.default.device, sd.query_devices()
    return [
        Device(
            index=i,
            name=d["name"],
            host_api=apis[d["hostapi"]]["name"],
            inputs=d["max_input_channels"],
            outputs=d["max_output_channels"],
            rate=int(d["default_samplerate"]),
            is_default_input=i == default_input,
            is_default_output=i == default_output,
        )
        for i, d in enumerate(found)
    ]


def rescan() -> None:
    """See devices that were plugged in since the first look; does nothing while a stream of this process is open.

    PortAudio lists devices once, at its start, and sounddevice has no public way to start it anew. That would close
    all streams, so a process that has one open finds what its list has: another node's card must not fall silent.
    """
    sd = _portaudio()
    with _LOCK:
        if not _OPEN:
            sd._terminate()
            sd._initialize()


def find(device: str | int, kind: Kind) -> Device:
    """The device of that index or name, or with it in its name, or the 'default' one; else DeviceError."""
    able = [d for d in list_devices() if d.channels(kind)]
    if not able:
        raise DeviceError(f"this host has no sound {kind}")
    wanted = str(device).strip()
    tests: list[Callable[[Device], bool]] = [
        lambda d: wanted == "default" and d.is_default(kind),
        lambda d: wanted == str(d.index),
        lambda d: wanted.lower() == d.name.lower(),
        lambda d: wanted != "" and wanted.lower() in d.name.lower(),
    ]
    found = next((hits for test in tests if (hits := [d for d in able if test(d)])), [])
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{d.index} {d.name!r}" for d in found or able)
    problem = "is not here, this host has" if not found else "could be any of"
    raise DeviceError(f"sound {kind} {wanted!r} {problem} {names}")


class _Card(SoundStream):
    """A stream of PortAudio, at the wanted rate and channels where the card takes them, else at its own."""

    def _open(self, kind: Kind, device: str | int, wanted: Format, latency: Latency) -> None:
        sd = _portaudio()
        self.device = find(device, kind)
        self.xruns = 0
        self.channels = min(wanted.channels, self.device.channels(kind))
        self.rate = self._accepted_rate(sd, kind, wanted.rate)
        make = sd.OutputStream if kind == "output" else sd.InputStream
        with self._refused():
            self._stream = make(
                device=self.device.index,
                samplerate=self.rate,
                channels=self.channels,
                blocksize=wanted.block,
                dtype="float32",
                latency=latency,
                callback=self._callback,
            )
            _OPEN.add(self)
        self.latency_samples = round(self._stream.latency * self.rate)

    @abstractmethod
    def _callback(self, x: NDArray[np.float32], n: int, t: Any, status: Any) -> None: ...

    @property
    def active(self) -> bool:
        return bool(self._stream.active)

    def start(self) -> None:
        with _LOCK, self._refused():
            self._stream.start()

    def close(self) -> None:
        with _LOCK:
            self._stream.close()
            _OPEN.discard(self)

    def _accepted_rate(self, sd: Any, kind: Kind, rate: int) -> int:
        check = sd.check_output_settings if kind == "output" else sd.check_input_settings
        try:
            check(device=self.device.index, channels=self.channels, dtype="float32", samplerate=rate)
        except sd.PortAudioError:
            return self.device.rate
        return rate

    def _host_ns(self, ahead_s: float) -> int:
        """Host time of the converter, `ahead_s` from now; some drivers know no times, then by the latency."""
        if abs(ahead_s) > MAX_AHEAD_S:
            ahead_s = self.latency_samples / self.rate * (1 if isinstance(self, Output) else -1)
        return time.monotonic_ns() + round(ahead_s * 1e9)

    @contextmanager
    def _refused(self) -> Iterator[None]:
        try:
            yield
        except _portaudio().PortAudioError as e:
            raise DeviceError(
                f"sound device {self.device.name!r} refused {self.rate} Hz, {self.channels} channels ({e})"
            ) from e


class OutputDevice(_Card, Output):
    """Plays what `pull` gives, `block` samples at a time.

    Where the card refuses the wanted rate, `rate` is its own and `pull` is asked in that; channels are
    converted here. `pull` runs in the sound card's thread: it must neither wait nor read files.
    """

    def __init__(
        self,
        device: str | int,
        rate: int,
        channels: int,
        block: int,
        pull: Pull,
        *,
        latency: Latency = "low",
    ) -> None:
        Output.__init__(self, pull)
        with _LOCK:
            self._open("output", device, Format(rate, channels, block), latency)

    def _callback(self, x: NDArray[np.float32], n: int, t: Any, status: Any) -> None:
        x[:] = self._take(n, self._host_ns(t.outputBufferDacTime - t.currentTime))
        if status.output_underflow:  # the card had nothing to play, so what comes now comes out of silence
            self.xruns += 1
            k = min(self.rate * FADE_MS // 1000, n)
            x[:k] *= fade_in(k)[:, None]


class InputDevice(_Card):
    """Hands `push` what the card hears, `block` samples at a time, in the card's own thread.

    `rate` and `channels` are the card's own where it refused the wanted ones; nothing is converted.
    """

    def __init__(
        self,
        device: str | int,
        rate: int,
        channels: int,
        block: int,
        push: Push,
        *,
        latency: Latency = "low",
    ) -> None:
        self._push = push
        with _LOCK:
            self._open("input", device, Format(rate, channels, block), latency)

    def _callback(self, x: NDArray[np.float32], n: int, t: Any, status: Any) -> None:
        self.xruns += bool(status.input_overflow)
        self._push(x.copy(), self._host_ns(t.inputBufferAdcTime - t.currentTime))


def _portaudio() -> Any:
    try:
        import sounddevice
    except ImportError as e:
        raise DeviceError("sound cards need the Python package sounddevice: pip install sounddevice") from e
    except OSError as e:  # what sounddevice raises when it finds no library
        raise DeviceError(f"sound cards need PortAudio, which is not on this host: {INSTALL}") from e
    return sounddevice
