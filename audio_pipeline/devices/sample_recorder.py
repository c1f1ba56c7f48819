"""Records a stretch of sound from a microphone: for commands, which have no clock to keep."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import DeviceError

Samples = NDArray[np.float32]
Progress = Callable[[float, float], None]  # seconds so far, level of the newest block in dBFS

RATE = 48_000
BLOCK_MS = 50
SILENT_S = 2.0  # without a block the card is taken for dead
LEAST = 1e-6


def record(
    device: str, seconds: float, progress: Progress = lambda so_far, db: None, *, open_input: Any = None
) -> tuple[Samples, int]:
    """Mono sound (samples,) of that length, and its rate. Raises DeviceError where nothing comes."""
    if open_input is None:
        from audio_pipeline.devices.sound import InputDevice as open_input  # noqa: N813

    blocks: list[Samples] = []
    came = threading.Semaphore(0)

    def push(x: Samples, adc_ns: int) -> None:
        blocks.append(x.mean(axis=1))
        came.release()

    with open_input(device, RATE, 1, RATE * BLOCK_MS // 1000, push, latency="high") as card:
        wanted = round(seconds * card.rate)
        held = 0
        while held < wanted:
            if not came.acquire(timeout=SILENT_S):
                raise DeviceError(f"sound input {device!r} gave no sound for {SILENT_S:g} s; was it pulled out?")
            newest = blocks[-1]
            held = sum(map(len, blocks))
            progress(held / card.rate, level_db(newest))
    return np.concatenate(blocks)[:wanted].astype(np.float32), card.rate


def level_db(x: Samples) -> float:
    """Peak, dBFS.

    >>> level_db(np.array([0.1, -1.0], np.float32))
    0.0
    """
    return float(20 * np.log10(max(float(np.max(np.abs(x), initial=0.0)), LEAST)))
