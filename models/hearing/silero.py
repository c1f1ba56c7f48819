"""Silero VAD by ONNX Runtime: the probability of speech in each 32 ms of a 16 kHz stream.

A stream brings each window to one level first (`dsp/leveller.py`): the bare network finds nothing below -50 dBFS.
The network takes 64 samples of the window before, 512 new ones and its recurrent state
(`OnnxWrapper` in silero-vad's utils_vad.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf, NoSuchFile

from audio_pipeline.dsp.leveller import Leveller
from audio_pipeline.errors import WeightsError
from audio_pipeline.models.weights import store

Array = np.ndarray[Any, np.dtype[np.float32]]

RATE = 16_000
WINDOW = 512
CONTEXT = 64
MEMORY = (2, 128)


@dataclass(frozen=True, eq=False)
class State:
    """What one stream carries from window to window."""

    memory: Array  # (2, 128)
    context: Array  # (64,)


class Silero:
    """The network; streams are rows of a batch."""

    rate = RATE

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # a tenth of a millisecond a window
        options.log_severity_level = 3  # the file carries constants that nothing uses, one warning each
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except (Fail, InvalidGraph, InvalidProtobuf, NoSuchFile) as error:
            raise WeightsError(f"{path} is not a model that ONNX Runtime reads: {error}") from error

    def initial_state(self) -> State:
        """The state of a stream that begins: silence before it."""
        return State(np.zeros(MEMORY, np.float32), np.zeros(CONTEXT, np.float32))

    def step(self, windows: Array, states: Sequence[State]) -> tuple[Array, list[State]]:
        """Probabilities (batch,) for windows (batch, 512), and the states after."""
        if windows.ndim != 2 or windows.shape != (len(states), WINDOW):
            raise ValueError(f"expected windows of shape ({len(states)}, {WINDOW}), got {windows.shape}")
        feed = {
            "input": np.concatenate([np.stack([state.context for state in states]), windows], axis=1),
            "state": np.stack([state.memory for state in states], axis=1),
            "sr": np.array(RATE, np.int64),
        }
        found, memory = self._session.run(None, feed)
        after = [State(memory[:, i], windows[i, -CONTEXT:].copy()) for i in range(len(states))]
        return found[:, 0], after

    def stream(self) -> SileroStream:
        """A new stream of its own."""
        return SileroStream(self)


class SileroStream:
    """One stream: whole windows by calling it, or chunks of any size by `process`."""

    def __init__(self, model: Silero) -> None:
        self._model = model
        self._level = Leveller(WINDOW / RATE)
        self.reset()

    def reset(self) -> None:
        """Forgets the sound; the next sample is sample 0."""
        self._state = self._model.initial_state()
        self._level.reset()
        self._tail = np.zeros(0, np.float32)
        self._position = 0

    def __call__(self, window: Array) -> float:
        """The probability of speech in the next window (512,)."""
        found, (self._state,) = self._model.step(self._level(window)[None], [self._state])
        return float(found[0])

    def process(self, x: Array) -> Iterator[tuple[int, float]]:
        """(position of its first sample, probability) of every window that x (samples,) completes."""
        held = np.concatenate([self._tail, x])
        whole = len(held) // WINDOW * WINDOW
        start, self._position = self._position, self._position + whole
        self._tail = held[whole:]
        for at in range(0, whole, WINDOW):
            yield start + at, self(held[at : at + WINDOW])


def load() -> Silero:
    """The network with its released weights, fetched first where they are missing."""
    return Silero(store.path("silero-vad"))
