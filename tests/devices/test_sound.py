from __future__ import annotations

import queue
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_pipeline.clock import MonotonicClock, VirtualClock
from audio_pipeline.devices import sound
from audio_pipeline.devices.sound import InputDevice, NullOutput, OutputDevice
from audio_pipeline.errors import DeviceError
from tests.devices.pulse import RATE, pulse
from tests.dsp.chunking import tone
from tests.patience import PATIENCE_S

__all__ = ["pulse"]
BLOCK = 480


class FakePortAudioError(Exception):
    """Stands in for sounddevice.PortAudioError."""


class FakeStream:
    """Keeps its arguments; the test calls back."""

    latency = 0.02

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments
        self.active = False

    def start(self) -> None:
        self.active = True

    def close(self) -> None:
        self.active = False


def device(name: str, inputs: int, outputs: int, rate: float = 44100.0) -> dict[str, Any]:
    return {
        "name": name,
        "hostapi": 0,
        "max_input_channels": inputs,
        "max_output_channels": outputs,
        "default_samplerate": rate,
    }


CARDS = [device("Built-in", 2, 2), device("USB Mic", 1, 0), device("USB Out", 0, 8), device("HDMI", 0, 2)]


def fake_module(devices: list[dict[str, Any]], refused_rates: tuple[int, ...] = ()) -> types.ModuleType:
    """A sounddevice with these devices, the first its default."""

    def check(samplerate: int, **_: Any) -> None:
        if samplerate in refused_rates:
            raise FakePortAudioError("Invalid sample rate")

    module = types.ModuleType("sounddevice")
    module.__dict__.update(
        query_devices=lambda: devices,
        query_hostapis=lambda: [{"name": "ALSA"}],
        default=types.SimpleNamespace(device=[0, 0] if devices else [-1, -1]),
        check_output_settings=check,
        check_input_settings=check,
        OutputStream=FakeStream,
        InputStream=FakeStream,
        PortAudioError=FakePortAudioError,
    )
    return module


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    module = fake_module(CARDS, refused_rates=(48000,))
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    yield module
    for stream in list(sound._OPEN):  # one that is open keeps the process from looking for cards anew
        stream.close()


def status(**flags: bool) -> types.SimpleNamespace:
    return types.SimpleNamespace(**{"output_underflow": False, "input_overflow": False, **flags})


def silence(n: int, _: int) -> np.ndarray:
    return np.zeros((n, 2), np.float32)


def test_list(cards: types.ModuleType) -> None:
    first, *_, last = sound.list_devices()
    assert (first.name, first.host_api, first.inputs, first.outputs, first.rate) == (
        "Built-in",
        "ALSA",
        2,
        2,
        44100,
    )
    assert first.is_default("output") and first.is_default("input") and not last.is_default("output")


@pytest.mark.parametrize(
    ("wanted", "kind", "name"),
    [
        ("default", "output", "Built-in"),
        (3, "output", "HDMI"),
        ("3", "output", "HDMI"),
        ("hdmi", "output", "HDMI"),
        ("usb", "output", "USB Out"),
        ("usb", "input", "USB Mic"),
    ],
)
def test_find(cards: types.ModuleType, wanted: str | int, kind: sound.Kind, name: str) -> None:
    assert sound.find(wanted, kind).name == name


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            "Focusrite",
            "sound output 'Focusrite' is not here, this host has 0 'Built-in', 2 'USB Out', 3 'HDMI'",
        ),
        ("i", "sound output 'i' could be any of 0 'Built-in', 3 'HDMI'"),
        (1, "sound output '1' is not here"),  # a microphone
        ("", "sound output '' is not here"),
    ],
)
def test_find_names_what_there_is(cards: types.ModuleType, wanted: str | int, message: str) -> None:
    with pytest.raises(DeviceError) as caught:
        sound.find(wanted, "output")
    assert str(caught.value).startswith(message)


def test_host_without_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", fake_module([]))
    assert sound.list_devices() == []
    with pytest.raises(DeviceError, match="^this host has no sound output$"):
        OutputDevice("default", RATE, 2, BLOCK, silence)


def test_without_portaudio_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`sounddevice` raises OSError at import where it finds no library."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(DeviceError, match=r"apt install libportaudio2.*brew install portaudio"):
        sound.list_devices()


def test_without_sounddevice_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(DeviceError, match="pip install sounddevice"):
        sound.find("default", "input")


def test_importing_the_module_does_not_need_portaudio(tmp_path: Path) -> None:
    import subprocess

    code = "import sys, audio_pipeline.devices.sound; sys.exit('sounddevice' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_card_keeps_its_rate_and_channels_where_it_must(cards: types.ModuleType) -> None:
    output = OutputDevice("usb", 48000, 12, BLOCK, silence)
    assert (output.rate, output.channels, output.latency_samples) == (44100, 8, 882)
    assert OutputDevice("usb", 96000, 2, BLOCK, silence).rate == 96000


def test_refusal_is_one_sentence(cards: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise FakePortAudioError("Device unavailable")

    monkeypatch.setattr(cards, "OutputStream", refuse)
    with pytest.raises(DeviceError, match=r"'HDMI' refused 44100 Hz, 2 channels \(Device unavailable\)"):
        OutputDevice("hdmi", 44100, 2, BLOCK, silence)


def test_output_counts_overs_gaps_and_xruns(cards: types.ModuleType) -> None:
    asked = []

    def pull(n: int, dac_ns: int) -> np.ndarray:
        asked.append((n, dac_ns))
        return np.full((n - 80, 1), 1.5, np.float32)

    output = OutputDevice("default", 44100, 2, BLOCK, pull)
    buffer = np.full((BLOCK, 2), 9, np.float32)
    before = MonotonicClock().now_ns()
    times = types.SimpleNamespace(outputBufferDacTime=5.25, currentTime=5.0)
    output._callback(buffer, BLOCK, times, status(output_underflow=True))
    after = MonotonicClock().now_ns()
    assert buffer[0, 0] < 0.01 and np.abs(np.diff(buffer[:400], axis=0)).max() < 0.01, "out of silence: a fade of 5 ms"
    assert (buffer[220:400] == 1).all() and not buffer[400:].any()
    assert (output.clipped, output.starved_samples, output.xruns) == (400 * 2, 80, 1)
    n, dac_ns = asked[0]
    assert n == BLOCK and before + 250_000_000 <= dac_ns <= after + 250_000_000


def test_driver_without_times_is_taken_by_its_latency(cards: types.ModuleType) -> None:
    asked: list[int] = []
    output = OutputDevice("default", 44100, 2, BLOCK, lambda n, ns: silence(n, asked.append(ns) or 0))
    stamps: list[int] = []
    source = InputDevice("default", 44100, 2, BLOCK, lambda _, ns: stamps.append(ns))
    times = types.SimpleNamespace(outputBufferDacTime=0.0, inputBufferAdcTime=0.0, currentTime=5000.0)
    before = MonotonicClock().now_ns()
    output._callback(np.zeros((BLOCK, 2), np.float32), BLOCK, times, status())
    source._callback(np.zeros((BLOCK, 2), np.float32), BLOCK, times, status())
    after = MonotonicClock().now_ns()
    assert before <= asked[0] - 20_000_000 <= after
    assert before <= stamps[0] + 20_000_000 <= after


def test_input_hands_over_a_copy(cards: types.ModuleType) -> None:
    got: list[np.ndarray] = []
    source = InputDevice("usb", 44100, 2, BLOCK, lambda x, _: got.append(x))
    assert source.channels == 1
    buffer = np.ones((BLOCK, 1), np.float32)
    times = types.SimpleNamespace(inputBufferAdcTime=4.99, currentTime=5.0)
    source._callback(buffer, BLOCK, times, status(input_overflow=True))
    buffer[:] = 0
    assert got[0].min() == 1 and source.xruns == 1


def test_null_output_pulls_on_time_and_only_then() -> None:
    clock, pulled = VirtualClock(), []
    start = clock.now_ns()
    output = NullOutput(44100, 2, 441, lambda n, ns: pulled.append((n, ns)) or silence(n, ns), clock)
    assert output.tick() == 1 and output.tick() == 0
    clock.advance_to(start + 9_999_999)
    assert output.tick() == 0
    clock.advance_to(start + 30_000_000)
    assert output.tick() == 3
    assert pulled == [(441, start + k * 10_000_000) for k in range(4)]


def test_null_output_does_not_drift() -> None:
    """An hour at a block size that is no whole number of nanoseconds ends on the sample."""
    clock, count = VirtualClock(), 0
    start = clock.now_ns()
    output = NullOutput(44100, 1, 4410 * 7 + 1, lambda n, ns: np.zeros((n, 1), np.float32), clock)
    for second in range(0, 3600, 2):
        clock.advance_to(start + second * 1_000_000_000)
        count += output.tick()
    assert count == (3598 * 44100) // (4410 * 7 + 1) + 1 and output.xruns == 0


def test_null_output_held_up_does_not_catch_up() -> None:
    clock = VirtualClock()
    output = NullOutput(48000, 2, BLOCK, silence, clock)
    output.tick()
    clock.advance_to(clock.now_ns() + 5_000_000_000)
    assert output.tick() == 1 and output.xruns == 1


def test_null_output_runs_by_itself() -> None:
    done, times = threading.Event(), []

    def pull(n: int, dac_ns: int) -> np.ndarray:
        times.append(dac_ns)
        if len(times) == 5:
            done.set()
        return np.full((n, 2), 2, np.float32)

    with NullOutput(48000, 2, 48, pull, MonotonicClock()) as output:
        assert done.wait(PATIENCE_S) and output.active
    assert not output.active and output.clipped >= 5 * 96
    output.close()


@pytest.mark.live
def test_tone_through_a_real_card_keeps_its_level(pulse: dict[str, str]) -> None:
    """Played into the sink, recorded from its monitor: level within 0.1 dB, nothing else above -60 dB.

    200 ms of buffer, since a busy machine may hold a process up for longer than a card's 20.
    """
    (only,) = sound.list_devices()
    assert only.is_default("output") and only.is_default("input")
    blocks: queue.Queue[np.ndarray] = queue.Queue()
    played, wave = 0, tone(RATE, 1000, RATE, 2)  # a whole number of periods: it loops

    def pull(n: int, _: int) -> np.ndarray:
        nonlocal played
        block = np.roll(wave, -played, axis=0)[:n]
        played += n
        return block

    with (
        InputDevice("default", RATE, 2, BLOCK, lambda x, _: blocks.put(x), latency=0.2) as source,
        OutputDevice("default", RATE, 2, BLOCK, pull, latency=0.2) as output,
    ):
        assert (source.rate, output.rate, output.channels) == (RATE, RATE, 2)
        assert output.active and output.latency_samples > 0
        x = np.concatenate([blocks.get(timeout=10) for _ in range(150)])[-RATE:]
    spectrum = np.abs(np.fft.rfft(x[:, 0] * np.hanning(RATE))) / (RATE / 4)
    assert 20 * np.log10(spectrum[1000] / 0.5) == pytest.approx(0, abs=0.1)
    spectrum[990:1011] = 0
    assert 20 * np.log10(spectrum.max() / 0.5) < -60
    assert (output.xruns, output.starved_samples, output.clipped) == (0, 0, 0)


def test_real_card_refuses_what_it_cannot(pulse: dict[str, str]) -> None:
    with pytest.raises(DeviceError, match=r"is not here, this host has 0 'default'"):
        OutputDevice("Focusrite", RATE, 2, BLOCK, silence)
