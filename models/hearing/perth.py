"""The Perth watermark: a mark below 2 kHz that a network hides in speech and another one finds again.

Perceptual threshold watermarking by Resemble AI (package `resemble-perth`, MIT), own code on its weights. The
encoder reads the lowest 128 bins of a log-magnitude spectrogram at 32 kHz and gives what to add to them; the phase
stays. The decoder says from 0 to 1 how sure it is that the mark is there, looking at three speeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from audio_pipeline.dsp.resample import resampled
from audio_pipeline.dsp.windows import hann
from audio_pipeline.models.weights import store
from audio_pipeline.models.weights.tensors import FILE, check_tensors, read_tensors, save_tensors
from audio_pipeline.models.weights.torch_files import read_torch

Array = np.ndarray[Any, np.dtype[np.float32]]
Spectrum = np.ndarray[Any, np.dtype[np.complex64]]

RATE, FRAME, HOP = 32_000, 2_048, 320
BINS = 128  # up to 2 kHz
HIDDEN, DEEP, TAPS = 256, 5, 7
FLOOR_DB, HEADROOM_DB = -180.0, 15.0  # the scale on which the networks see magnitudes as 0 to 1
SPAN_DB = HEADROOM_DB - FLOOR_DB
LOUD = 0.05  # frames with less than this of the loudest carry no mark
SPEEDS = {"slow": 1.25, "normal": 1.0, "fast": 0.75}
NETS = {"encoder.layers": BINS, **{f"decoder.{speed}_layers": 2 for speed in SPEEDS}}  # and their outputs
PRESENT = 0.5
OWNER = "watermark"
OPSET, IR = 17, 9


def shapes() -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor."""
    found: dict[str, tuple[int, ...]] = {}
    for net, outputs in NETS.items():
        sizes = [(HIDDEN, BINS, 1), *[(HIDDEN, HIDDEN, TAPS)] * DEEP, (outputs, HIDDEN, 1)]
        for layer, size in enumerate(sizes):
            found |= {f"{net}.{layer}.conv.weight": size, f"{net}.{layer}.conv.bias": size[:1]}
    return found


def from_perth(raw: Path, done: Path) -> None:
    """Converts the wheel's checkpoint."""
    save_tensors(OWNER, shapes(), read_torch(raw / "perth_net_250000.pth.tar", "model"), done)


class Perth:
    """Marks and finds marks in mono sound at 32 kHz."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        arrays = read_tensors(path)
        check_tensors(OWNER, shapes(), arrays)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._nets = {
            net: onnxruntime.InferenceSession(
                _graph(arrays, net).SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            for net in NETS
        }

    def _run(self, net: str, seen: Array) -> Array:
        """(bins, frames) to (outputs, frames)."""
        answer: Array = self._nets[net].run(None, {"x": seen[None]})[0][0]
        return answer

    def residual(self, x: Array) -> Array:
        """What to add to x (samples,) so that it carries the mark."""
        if not len(x):
            return x
        spectrum = analyse(x)
        seen = seen_in(spectrum)
        change = self._run("encoder.layers", seen[:BINS]) * _loud(seen)
        low = spectrum[:BINS]
        marked_db = np.minimum(seen[:BINS] + change, (200 - FLOOR_DB) / SPAN_DB) * SPAN_DB + FLOOR_DB
        turned = low / np.maximum(np.abs(low), 1e-20)
        difference = np.zeros_like(spectrum)
        difference[:BINS] = (10 ** (marked_db / 20)) * turned - low
        return synthesise(difference, len(x))

    def opinions(self, seen: Array) -> Array:
        """What the decoder thinks of each frame of seen spectra (bins, frames): marked ones lie around 6."""
        return np.asarray(self._run("decoder.normal_layers", seen)[1], np.float32)

    def confidence(self, x: Array) -> float:
        """How surely x (samples,) carries the mark, 0 to 1; 0 for silence."""
        if not np.any(x):
            return 0.0
        seen = seen_in(analyse(x))
        loud = _loud(seen)
        scores = [self._score(speed, seen[:BINS], loud) for speed in SPEEDS]
        attention = np.exp([score[0] for score in scores])
        return float(np.clip(np.dot(attention / attention.sum(), [score[1] for score in scores]), 0.0, 1.0))

    def _score(self, speed: str, seen: Array, loud: Array) -> tuple[float, float]:
        """Attention and opinion of the network for one speed of playing."""
        frames = int(seen.shape[1] * SPEEDS[speed])
        if not frames:
            return 0.0, 0.0
        out = self._run(f"decoder.{speed}_layers", seen if speed == "normal" else _stretched(seen, frames))
        mask = loud[np.arange(frames) * len(loud) // frames]
        weight = max(float(mask.sum()), 1.0)
        return float((out[0] * mask).sum() / weight), float((out[1] * mask).sum() / weight)


def load(threads: int = 1) -> Perth:
    """The networks with their released weights, fetched first where they are missing."""
    return Perth(store.path("perth", FILE), threads)


def marked(perth: Perth, x: Array, rate: int) -> Array:
    """x (samples, channels) with the mark added to the middle of all channels; nothing above 2 kHz changes."""
    if not len(x):
        return x
    mark = _at_rate(perth.residual(_at_rate(x.mean(axis=1), rate, RATE)), RATE, rate)
    mark = np.pad(mark, (0, max(0, len(x) - len(mark))))[: len(x)]
    return (x + mark[:, None]).astype(np.float32)


def confidence(perth: Perth, x: Array, rate: int) -> float:
    """How surely x (samples, channels) carries the mark, 0 to 1."""
    return perth.confidence(_at_rate(x.mean(axis=1), rate, RATE)) if len(x) else 0.0


def self_check(perth: Perth) -> float:
    """The confidence in a mark that was just made, in two seconds of noise with the tilt of speech; 0 if it is found
    before."""
    noise = np.random.default_rng(0).standard_normal(2 * RATE)
    tilt = 1 / (1 + (np.fft.rfftfreq(len(noise), 1 / RATE) / 500) ** 2)
    probe = np.fft.irfft(np.fft.rfft(noise) * tilt, len(noise)).astype(np.float32)
    probe *= 0.05 / probe.std()
    return perth.confidence(probe + perth.residual(probe)) * (perth.confidence(probe) < PRESENT)


def _at_rate(x: Array, rate_in: int, rate_out: int) -> Array:
    return resampled(x.astype(np.float32)[:, None], rate_in, rate_out)[:, 0]


WINDOW = hann(FRAME)


def analyse(x: Array) -> Spectrum:
    """Spectra (bins, frames): frame i is centred on sample i * hop; the ends are mirrored (silence if too short)."""
    mode = "reflect" if len(x) > FRAME // 2 else "constant"
    around = np.pad(x, FRAME // 2, mode=mode)  # type: ignore[call-overload]
    rows = np.lib.stride_tricks.sliding_window_view(around, FRAME)[::HOP]
    spectrum: Spectrum = np.fft.rfft(rows * WINDOW, axis=1).T.astype(np.complex64)
    return spectrum


def synthesise(spectrum: Spectrum, samples: int) -> Array:
    """The inverse: windowed overlap-add, divided by the sum of the squared windows."""
    rows = np.fft.irfft(spectrum.T, FRAME, axis=1).astype(np.float32) * WINDOW
    total = np.zeros(FRAME + HOP * (len(rows) - 1), np.float32)
    squares = np.zeros_like(total)
    for i, row in enumerate(rows):
        total[i * HOP : i * HOP + FRAME] += row
        squares[i * HOP : i * HOP + FRAME] += WINDOW**2
    found = (total / np.maximum(squares, 1e-3))[FRAME // 2 :][:samples]
    return np.pad(found, (0, samples - len(found))).astype(np.float32)


def seen_in(spectrum: Spectrum) -> Array:
    """Magnitudes on the networks' scale, 0 at -180 dB and 1 at +15 dB."""
    db = 20 * np.log10(np.maximum(np.abs(spectrum), 10 ** (FLOOR_DB / 20)))
    return ((db - FLOOR_DB) / SPAN_DB).astype(np.float32)


def _loud(seen: Array) -> Array:
    """1 for frames that can carry a mark."""
    sums = seen.sum(axis=0)
    return np.asarray(sums > LOUD * sums.max(), np.float32)


def _stretched(x: Array, frames: int) -> Array:
    """(bins, n) linearly interpolated to (bins, frames), ends on ends."""
    at = np.linspace(0, x.shape[1] - 1, frames)
    low = np.minimum(at.astype(int), max(x.shape[1] - 2, 0))
    high = np.minimum(low + 1, x.shape[1] - 1)
    mix = (at - low).astype(np.float32)
    return np.asarray(x[:, low] * (1 - mix) + x[:, high] * mix, np.float32)


def _graph(arrays: Mapping[str, Array], net: str) -> onnx.ModelProto:
    """x (1, bins, frames) through one stack of convolutions with leaky ReLU between."""
    nodes, initial, value = [], [], "x"
    for layer in range(DEEP + 2):
        kernel, bias = f"{net}.{layer}.conv.weight", f"{net}.{layer}.conv.bias"
        initial += [numpy_helper.from_array(arrays[name], name) for name in (kernel, bias)]
        pad = arrays[kernel].shape[2] // 2
        nodes.append(helper.make_node("Conv", [value, kernel, bias], [f"conv{layer}"], pads=[pad, pad]))
        value = f"conv{layer}"
        if layer < DEEP + 1:
            nodes.append(helper.make_node("LeakyRelu", [value], [f"act{layer}"], alpha=0.01))
            value = f"act{layer}"
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, BINS, "frames"])
    out = helper.make_tensor_value_info(value, TensorProto.FLOAT, [1, NETS[net], "frames"])
    graph = helper.make_graph(nodes, "perth", [x], [out], initial)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
