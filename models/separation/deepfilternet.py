"""DeepFilterNet3 for streams: splits 48 kHz speech from noise with 20 ms of future, on the CPU by ONNX Runtime.

H. Schroeter, T. Rosenkranz, A. N. Escalante-B., A. Maier, "DeepFilterNet: Perceptually Motivated Real-Time Speech
Enhancement", Interspeech 2023. Features and filter follow its runtime (libDF/src/lib.rs and tract.rs, d375b2d): gains
of 32 bands over the whole spectrum, and below 4.8 kHz in their place a complex filter over five frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime

from audio_pipeline.errors import ConfigError
from audio_pipeline.models.separation.catalogue import DEEPFILTERNET
from audio_pipeline.models.separation.deepfilternet_features import Levels, first_levels, next_features, over_bins
from audio_pipeline.models.separation.deepfilternet_graph import ERB_BANDS, FILTERED_BINS, PAST, STATES, TAPS
from audio_pipeline.models.separation.types import HOPS, Array, State, Window
from audio_pipeline.models.weights import store

FILE = "step.onnx"
LOOKAHEAD = DEEPFILTERNET.modes[DEEPFILTERNET.default_mode].lookahead
KEPT = HOPS[-1] + DEEPFILTERNET.revised  # answers that the longest window asks for
PAIR = 2  # ONNX Runtime computes a single row by other kernels than every larger batch, which all agree to the bit


@dataclass(frozen=True, eq=False)
class Memory:
    """What one stream has left behind. Frames before `seen` were shown to the networks."""

    seen: int
    levels: Levels
    bands: Array  # (PAST, ERB_BANDS), features of the latest frames
    low: Array  # (2, PAST, FILTERED_BINS), the same of bins
    networks: Mapping[str, Array]  # by the names of STATES
    spectra: Array  # (TAPS, bins) of the latest frames
    speech: Mapping[int, Array]  # (bins,) of the latest frames, by number


def first_memory() -> Memory:
    """Of a stream that begins: silence before it. Frame 0 lies before the sound, and the networks never see it."""
    return Memory(
        seen=1,
        levels=first_levels(),
        bands=np.zeros((PAST, ERB_BANDS), np.float32),
        low=np.zeros((2, PAST, FILTERED_BINS), np.float32),
        networks={name: np.zeros(shape, np.float32) for name, shape in STATES.items()},
        spectra=np.zeros((TAPS, DEEPFILTERNET.bins), np.complex64),
        speech={},
    )


class DeepFilterNet:
    """The stateful model that `stream.SeparatorStream` drives: mono, answers are the spectra of speech and of noise.

    Every frame is one step of the networks, so an answer does not depend on how many frames a window brings. Frames
    that were missed are made up for as far as the window holds them; behind a longer hole the memory goes on.
    """

    spec, padded = DEEPFILTERNET, False

    def __init__(self, graph: Path | bytes, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 1  # a frame is too little work to share
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.engine = "CPU: ONNX Runtime computes in fp32, a frame at a time"

    def initial_state(self) -> State:
        """The memory of a stream that begins."""
        return first_memory()

    def step(self, windows: Sequence[Window], states: Sequence[State]) -> tuple[Array, list[State]]:
        """Spectra (windows, stems, wanted, bins, 1) of speech and noise, and the memories after."""
        memories = list[Memory](states)
        while due := [row for row, window in enumerate(windows) if _first_unseen(window, memories[row]) < _end(window)]:
            shown = [_next_frame(windows[row], memories[row]) for row in due]
            for row, memory in zip(due, self._advance(shown), strict=True):
                memories[row] = memory
        return np.stack([_answer(*pair) for pair in zip(windows, memories, strict=True)]), list(memories)

    def _advance(self, memories: Sequence[Memory]) -> list[Memory]:
        """The memories after one step of the networks, to which the features of a new frame were added."""
        rows = [*memories, *memories[:1]] if len(memories) < PAIR else memories
        feeds = {name: np.stack([m.networks[name] for m in rows], axis=_axis(name)) for name in STATES}
        feeds["feat_erb"] = np.stack([m.bands for m in rows])[:, None]
        feeds["feat_spec"] = np.stack([m.low for m in rows])
        found = dict(zip(self._outputs, self._session.run(None, feeds), strict=True))
        return [_filtered(memory, found, row) for row, memory in enumerate(memories)]


def _axis(state: str) -> int:
    """Where the batch stands in a state of the networks."""
    return 1 if "hidden" in state else 0


def _end(window: Window) -> int:
    return window.first_frame + len(window.frames)


def _first_unseen(window: Window, memory: Memory) -> int:
    """The first frame of a window that the networks have not seen, of those that they are to see."""
    return max(memory.seen, window.first_frame)


def _next_frame(window: Window, memory: Memory) -> Memory:
    """The memory with the next frame's spectrum and features, which the networks are to see."""
    frame = _first_unseen(window, memory)
    spectrum = window.frames[frame - window.first_frame, :, 0]
    bands, low, levels = next_features(spectrum, memory.levels)
    return Memory(
        seen=frame + 1,
        levels=levels,
        bands=np.concatenate([memory.bands[-PAST:], bands[None]]),
        low=np.concatenate([memory.low[:, -PAST:], low[:, None]], axis=1),
        networks=memory.networks,
        spectra=np.concatenate([memory.spectra[1:], spectrum[None]]),
        speech=memory.speech,
    )


def _filtered(memory: Memory, found: Mapping[str, Array], row: int) -> Memory:
    """The memory after a step: the speech of the frame LOOKAHEAD before the newest is known."""
    speech = memory.spectra[-1 - LOOKAHEAD] * over_bins(found["m"][row, 0, 0])
    parts = found["coefs"][row, 0].reshape(FILTERED_BINS, TAPS, 2)
    taps = (parts[..., 0] + np.complex64(1j) * parts[..., 1]).T
    speech[:FILTERED_BINS] = np.sum(memory.spectra[:, :FILTERED_BINS] * taps, axis=0)
    frame = memory.seen - 1 - LOOKAHEAD
    kept = {known: spectrum for known, spectrum in memory.speech.items() if known > frame - KEPT}
    networks = {name: np.take(found[f"{name}_after"], row, axis=_axis(name)) for name in STATES}
    return replace(memory, networks=networks, speech={**kept, frame: speech})


def _answer(window: Window, memory: Memory) -> Array:
    """Spectra (stems, wanted, bins, 1): speech, and what is left of the mixture."""
    mixture = window.frames[window.wanted.start : window.wanted.stop]
    numbers = [window.first_frame + place for place in window.wanted]
    silence = np.zeros(DEEPFILTERNET.bins, np.complex64)
    speech = np.stack([memory.speech.get(number, silence) for number in numbers])[..., None]
    return np.stack([speech, mixture - speech])


def load(*, device: str = "auto", threads: int = 0) -> DeepFilterNet:
    """The model with its released weights, fetched first where they are missing. Raises ConfigError."""
    if device == "cuda":
        raise ConfigError(f"device: {DEEPFILTERNET.name} runs on the CPU, got 'cuda'; use 'auto' or 'cpu'")
    return DeepFilterNet(store.path(DEEPFILTERNET.name, FILE), threads)
