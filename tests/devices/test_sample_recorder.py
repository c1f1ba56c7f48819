"""A stretch of sound from a microphone: as long as asked for, with its level, or one sentence."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from audio_pipeline.cli import voices_record
from audio_pipeline.devices import sample_recorder
from audio_pipeline.devices.queue_player import QueuePlayer
from audio_pipeline.devices.sample_recorder import RATE, record
from audio_pipeline.errors import ConfigError, DeviceError
from tests.devices.pulse import pulse

__all__ = ["pulse"]

Push = Callable[[np.ndarray, int], None]


class Card:
    """Hears a ramp, `blocks` of them, at a rate of its own."""

    def __init__(self, rate: int, blocks: int) -> None:
        self.rate, self._blocks = rate, blocks
        self.closed = False

    def __call__(self, device: str, rate: int, channels: int, block: int, push: Push, *, latency: str) -> Card:
        self._push, self._block = push, block
        self._thread = threading.Thread(target=self._run)
        return self

    def _run(self) -> None:
        for number in range(self._blocks):
            ramp = np.arange(number * self._block, (number + 1) * self._block, dtype=np.float32)
            self._push(np.stack([ramp, 3 * ramp], axis=1), 0)

    def __enter__(self) -> Card:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self.closed = True


@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_it_is_as_long_as_was_asked_for_and_mono(rate: int) -> None:
    card = Card(rate, 40)
    reports: list[tuple[float, float]] = []
    x, found = record("default", 1.23, lambda so_far, db: reports.append((so_far, db)), open_input=card)
    assert found == rate and x.shape == (round(1.23 * rate),) and x.dtype == np.float32
    assert np.array_equal(x, 2 * np.arange(len(x))), "both channels' mean, in order, without a gap"
    assert card.closed and reports[-1][0] >= 1.23
    assert all(earlier[0] <= later[0] for earlier, later in zip(reports, reports[1:], strict=False))


def test_a_card_that_gives_nothing_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_recorder, "SILENT_S", 0.01)
    card = Card(RATE, 3)
    with pytest.raises(DeviceError, match="sound input 'usb' gave no sound for 0.01 s; was it pulled out"):
        record("usb", 1.0, open_input=card)
    assert card.closed


@pytest.mark.parametrize("seconds", [0.0, 0.5, -1, 121, float("nan")])
def test_only_lengths_that_make_sense_are_recorded(seconds: float) -> None:
    with pytest.raises(ConfigError, match="--record: expected 1 to 120 s"):
        voices_record.recorded("default", seconds, "x")


def test_without_a_terminal_it_says_what_happens_and_records(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fake(device: str, seconds: float, on_level: Any) -> tuple[np.ndarray, int]:
        on_level(seconds, -20.0)
        return np.zeros(5, np.float32), RATE

    monkeypatch.setattr(voices_record, "record", fake)
    monkeypatch.setattr(voices_record, "check_microphone", lambda device: None)
    monkeypatch.setattr(voices_record.time, "sleep", lambda seconds: None)
    assert voices_record.recorded("default", 2, "your voice")[1] == RATE
    assert "your voice: 2 s, beginning in 3 s" in capsys.readouterr().err


def test_without_a_microphone_nobody_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audio_pipeline.devices.sound.list_devices", list)
    monkeypatch.setattr(voices_record.time, "sleep", lambda seconds: pytest.fail("counted"))
    with pytest.raises(DeviceError, match="no sound input"):
        voices_record.recorded("default", 2, "your voice")


@pytest.mark.parametrize(("db", "advice"), [(-0.5, "too loud"), (-50.0, "very soft"), (-12.0, "-12 dB")])
def test_the_meter_says_what_to_change(db: float, advice: str) -> None:
    assert advice in voices_record.meter(db) and len(voices_record.meter(db).split()[0]) == 24


def test_at_a_real_card_what_is_played_is_recorded(pulse: dict[str, str]) -> None:
    """The sink's monitor hears a tone of 440 Hz at -12 dBFS; both the rate and the level must be right."""
    tone = (0.25 * np.sin(2 * np.pi * 440 * np.arange(5 * RATE) / RATE)).astype(np.float32)
    with QueuePlayer("default", RATE) as player:
        player.put(tone)
        x, rate = record("default", 2.0)
    middle = x[len(x) // 2 :][: rate // 2]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * rate / len(middle) == pytest.approx(440, abs=2)
    assert np.max(np.abs(middle)) == pytest.approx(0.25, rel=0.05)
