"""The GE2E speaker encoder: 256 numbers that are close for two clips of one voice, and far for two voices.

Generalised end-to-end loss for speaker verification (Wan, Wang, Papir, Moreno; ICASSP 2018, arXiv 1710.10467),
with the weights of Real-Time-Voice-Cloning as the package Resemblyzer carries them. Three LSTM layers read 1.6 s
of a 40-band mel spectrogram; the last state, through a linear layer, a ReLU and onto the unit sphere, is the
embedding. Similarity of two is their dot product, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from audio_pipeline.dsp.mel import Mel
from audio_pipeline.models.weights import store
from audio_pipeline.models.weights.tensors import FILE, check_tensors, read_tensors, save_tensors
from audio_pipeline.models.weights.torch_files import read_torch

Array = np.ndarray[Any, np.dtype[np.float32]]

RATE = 16_000
MEL = Mel(RATE, frame=400, hop=160, bands=40)
PARTIAL = 160  # frames of one partial utterance, 1.6 s
PARTIAL_SAMPLES = PARTIAL * MEL.hop
PARTIALS_A_SECOND = 1.3
MIN_COVERAGE = 0.75  # of the last partial that must be sound
SIZE, LAYERS = 256, 3
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
OPSET, IR = 17, 9
OWNER = "speaker encoder"


def shapes() -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor, as torch names them."""
    found: dict[str, tuple[int, ...]] = {"linear.weight": (SIZE, SIZE), "linear.bias": (SIZE,)}
    for layer in range(LAYERS):
        found[f"lstm.weight_ih_l{layer}"] = (4 * SIZE, MEL.bands if layer == 0 else SIZE)
        found[f"lstm.weight_hh_l{layer}"] = (4 * SIZE, SIZE)
        found[f"lstm.bias_ih_l{layer}"] = found[f"lstm.bias_hh_l{layer}"] = (4 * SIZE,)
    return found


def from_resemblyzer(raw: Path, done: Path) -> None:
    """Converts the wheel's `pretrained.pt`."""
    save_tensors(OWNER, shapes(), read_torch(raw / "pretrained.pt", "model_state"), done)


class SpeakerEncoder:
    """The network by ONNX Runtime; partial utterances are rows of a batch."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        arrays = read_tensors(path)
        check_tensors(OWNER, shapes(), arrays)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        graph = _graph(arrays).SerializeToString()
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def partials(self, mels: Array) -> Array:
        """Embeddings (batch, 256) of unit length for mel spectrograms (batch, 160, 40)."""
        if mels.ndim != 3 or mels.shape[1:] != (PARTIAL, MEL.bands):
            raise ValueError(f"expected mel spectrograms of shape (n, {PARTIAL}, {MEL.bands}), got {mels.shape}")
        if not len(mels):
            return np.zeros((0, SIZE), np.float32)
        raw: Array = self._session.run(None, {"mels": mels.astype(np.float32)})[0]
        return unit(raw)

    def utterance(self, x: Array) -> Array:
        """The embedding (256,) of mono speech (samples,) at 16 kHz, prepared by `speech.prepare`."""
        starts = partial_starts(len(x))
        x = np.pad(x.astype(np.float32), (0, max(0, starts[-1] * MEL.hop + PARTIAL_SAMPLES - len(x))))
        mel = MEL.centred(x)
        return unit(self.partials(np.stack([mel[start : start + PARTIAL] for start in starts])).mean(axis=0))


def partial_starts(samples: int) -> list[int]:
    """First frames of the partial utterances of a clip; the last may reach beyond its end by a quarter.

    >>> partial_starts(16_000), partial_starts(48_000)
    ([0], [0, 77, 154])
    """
    step = round(RATE / PARTIALS_A_SECOND / MEL.hop)
    frames = -(-(samples + 1) // MEL.hop)
    starts = list(range(0, max(1, frames - PARTIAL + step + 1), step))
    covered = (samples - starts[-1] * MEL.hop) / PARTIAL_SAMPLES
    return starts[:-1] if covered < MIN_COVERAGE and len(starts) > 1 else starts


def unit(x: Array) -> Array:
    """Vectors (..., n) scaled to length 1; a zero vector stays."""
    length: Array = np.linalg.norm(x, axis=-1, keepdims=True)
    return (x / np.maximum(length, 1e-12)).astype(np.float32)


def similarity(a: Array, b: Array) -> float:
    """Cosine of two embeddings (256,), 0 to 1."""
    return float(np.dot(unit(a), unit(b)))


def load(threads: int = 1) -> SpeakerEncoder:
    """The encoder with its released weights, fetched first where they are missing."""
    return SpeakerEncoder(store.path("ge2e", FILE), threads)


def _graph(arrays: Mapping[str, Array]) -> onnx.ModelProto:
    """mels (batch, frames, bands) -> raw embeddings (batch, 256), ReLU included."""
    nodes = [helper.make_node("Transpose", ["mels"], ["x0"], perm=[1, 0, 2])]
    constants: dict[str, Any] = {"directions": np.array([1], np.int64), "first": np.array([0], np.int64)}
    for layer in range(LAYERS):
        w, r, ih, hh = (_gates(arrays[f"lstm.{part}_l{layer}"]) for part in PARTS)
        names = [f"w{layer}", f"r{layer}", f"b{layer}"]
        constants |= dict(zip(names, (w[None], r[None], np.concatenate([ih, hh])[None]), strict=True))
        nodes.append(helper.make_node("LSTM", [f"x{layer}", *names], [f"y{layer}", f"h{layer}"], hidden_size=SIZE))
        nodes.append(helper.make_node("Squeeze", [f"y{layer}", "directions"], [f"x{layer + 1}"]))
    constants |= {"linear": arrays["linear.weight"], "bias": arrays["linear.bias"]}
    nodes += [
        helper.make_node("Squeeze", [f"h{LAYERS - 1}", "first"], ["last"]),
        helper.make_node("Gemm", ["last", "linear", "bias"], ["raw"], transB=1),
        helper.make_node("Relu", ["raw"], ["embeddings"]),
    ]
    mels = helper.make_tensor_value_info("mels", TensorProto.FLOAT, ["batch", PARTIAL, MEL.bands])
    out = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["batch", SIZE])
    initial = [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "ge2e", [mels], [out], initial)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)


def _gates(torch_rows: Array) -> Array:
    """Rows by gate from torch's order (input, forget, cell, output) to ONNX's (input, output, forget, cell)."""
    i, f, c, o = np.split(torch_rows, 4)
    return np.concatenate([i, o, f, c])
