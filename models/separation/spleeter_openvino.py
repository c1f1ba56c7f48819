"""Spleeter's U-Nets as OpenVINO models, for a CPU: in fp32, or in the half precision that the processor has.

A model is made in memory for one length of window and one range of wanted frames, as `spleeter_onnx` does it, and
windows of a batch go through it one by one: on a CPU a batch saves nothing, and so a row never depends on its
neighbours. OpenVINO keeps the arrays that the weights lie in, which are views of the file, and a copy in the layout of
its kernels. It is imported only when networks are made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from audio_pipeline.cpu import cores
from audio_pipeline.models.separation.spleeter_layout import (
    CHANNELS,
    HEAD_REACH,
    LEAK,
    LEVELS,
    MASK_EPSILON,
    TIME,
    Array,
    Variant,
    Weights,
    decoder_ranges,
    on_grid,
)
from audio_pipeline.models.weights.tensors import MappedTensors

if TYPE_CHECKING:
    from openvino import CompiledModel, InferRequest
    from openvino import Model as OpenVinoModel

MOST = 8  # shapes of window that are kept compiled: those of a ladder, and of another mode
PRECISIONS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}  # ours, and what OpenVINO calls it
CAPABILITIES = {"BF16": "bf16", "FP16": "fp16"}  # of a processor that computes in it
Value = Any  # an output of one operation, the input of others


def half_precisions() -> tuple[str, ...]:
    """The precisions below fp32 in which this processor computes."""
    import openvino

    found = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return tuple(precision for name, precision in CAPABILITIES.items() if name in found)


class _Graph:
    """The networks of a variant, for windows of `frames` of which the frames `wanted` are answered."""

    def __init__(self, variant: Variant, weights: Weights, frames: int, wanted: range) -> None:
        from openvino import opset13

        self.variant, self.weights, self.frames, self.wanted = variant, weights, frames, wanted
        self.ops: Any = opset13

    def model(self, bins: int) -> OpenVinoModel:
        """From magnitudes (1, frames, bins, channels) to masks (1, stems, wanted, bins, channels)."""
        from openvino import Model

        ops = self.ops
        magnitudes = ops.parameter([1, self.frames, bins, CHANNELS], np.float32, name="magnitudes")
        x = ops.transpose(magnitudes, np.array([0, 3, 1, 2]))
        heads = self.heads([self.decode(stem, self.encode(stem, x)) for stem in self.variant.stems])
        seen = self.cut(x, range(self.frames), self.wanted)
        masks = self.ratio([ops.multiply(head, seen) for head in heads])
        shaped = [ops.unsqueeze(ops.transpose(mask, np.array([0, 2, 3, 1])), np.array(1)) for mask in masks]
        return Model([ops.result(ops.concat(shaped, 1))], [magnitudes], self.variant.name)

    def weight(self, name: str) -> Value:
        """A weight by its name in the file; the model holds the array, no copy."""
        return self.ops.constant(np.ascontiguousarray(self.weights[name]), shared_memory=True)

    def by_channel(self, name: str) -> Value:
        """A weight (channels,) in the shape in which it meets (batch, channels, frames, bins)."""
        return self.ops.constant(self.weights[name][None, :, None, None])

    def norm(self, x: Value, layer: str) -> Value:
        return self.ops.add(self.ops.multiply(x, self.by_channel(f"{layer}.scale")), self.by_channel(f"{layer}.shift"))

    def conv(self, x: Value, layer: str, stride: int, pads: tuple[list[int], list[int]], apart: int = 1) -> Value:
        y = self.ops.convolution(x, self.weight(f"{layer}.kernel"), [stride, stride], *pads, [apart, apart])
        return self.ops.add(y, self.by_channel(f"{layer}.bias"))

    def cut(self, x: Value, have: range, need: range) -> Value:
        """Frames `need` of a value that holds frames `have`."""
        if have == need:
            return x
        return self.ops.slice(x, [need.start - have.start], [need.stop - have.start], [1], [TIME])

    def encode(self, stem: str, x: Value) -> list[Value]:
        """The convolutions of all levels before normalisation; TensorFlow's 'same' pads 1 before and 2 after."""
        raw: list[Value] = []
        for k in range(1, LEVELS + 1):
            raw.append(self.conv(x, f"{stem}.enc{k}", 2, ([1, 1], [2, 2])))
            if k < LEVELS:
                x = self.norm(raw[-1], f"{stem}.enc{k}")
                x = self.ops.elu(x, 1.0) if self.variant.elu else self.ops.prelu(x, np.float32(LEAK))
        return raw

    def decode(self, stem: str, raw: list[Value]) -> Value:
        """The head's raw output, before sigmoid or softmax, over the wanted frames."""
        have, x = range(self.frames >> LEVELS), raw.pop()
        for k, out in enumerate(decoder_ranges(self.wanted, self.frames), 1):
            x = self.norm(self.grow(x, f"{stem}.dec{k}"), f"{stem}.dec{k}")
            x = self.cut(x, range(2 * have.start, 2 * have.stop), out)
            if raw:
                x = self.ops.concat([self.cut(raw.pop(), range(self.frames >> (LEVELS - k)), out), x], 1)
            have = out
        before = HEAD_REACH - (self.wanted.start - have.start)
        after = HEAD_REACH - (have.stop - self.wanted.stop)
        return self.conv(x, f"{stem}.head", 1, ([before, HEAD_REACH], [after, HEAD_REACH]), apart=2)

    def grow(self, x: Value, layer: str) -> Value:
        """A transposed convolution and its activation."""
        kernel = self.weight(f"{layer}.kernel")
        y = self.ops.convolution_backprop_data(x, kernel, [2, 2], pads_begin=[1, 1], pads_end=[2, 2])
        y = self.ops.add(y, self.by_channel(f"{layer}.bias"))
        return self.ops.elu(y, 1.0) if self.variant.elu else self.ops.relu(y)

    def heads(self, outputs: list[Value]) -> list[Value]:
        """Each network's own mask: a sigmoid, or a softmax over the stems."""
        if not self.variant.softmax:
            return [self.ops.sigmoid(output) for output in outputs]
        shares = self.ops.softmax(
            self.ops.concat([self.ops.unsqueeze(output, np.array(0)) for output in outputs], 0), 0
        )
        return [self.ops.gather(shares, np.int64(i), np.int64(0)) for i in range(len(outputs))]

    def ratio(self, magnitudes: list[Value]) -> list[Value]:
        """Spleeter's final mask: each squared output over the sum of all."""
        squares = [self.ops.multiply(m, m) for m in magnitudes]
        total = squares[0]
        for square in squares[1:]:
            total = self.ops.add(total, square)
        total, floor = self.ops.add(total, np.float32(MASK_EPSILON)), np.float32(MASK_EPSILON / len(squares))
        return [self.ops.divide(self.ops.add(square, floor), total) for square in squares]


class _Compiled(NamedTuple):
    """The networks for one shape of window, and the requests that nobody uses just now."""

    network: CompiledModel
    idle: list[InferRequest]


class OpenVinoUnets:
    """All U-Nets of a variant on the CPU, in `precision`, on `threads` threads (0: as many as there are cores).

    Each shape of window is compiled when it is first asked for, and keeps its own: another one, that answers more,
    would not give the same bits. Each thread that computes has a request of its own. The threads are pinned to no
    core, since others want the cores as well.
    """

    def __init__(self, variant: Variant, weights: Weights, threads: int = 0, precision: str = "fp32") -> None:
        from openvino import Core

        self._variant, self._weights, self._core = variant, weights, Core()
        self._config = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            "INFERENCE_NUM_THREADS": threads or cores(),
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        self._compiled: dict[tuple[int, int, range], _Compiled] = {}
        self._lock = Lock()

    def masks(self, magnitudes: Array, wanted: range) -> Array:
        """Masks (batch, stems, wanted, bins, channels) for magnitudes (batch, frames, bins, channels)."""
        frames, bins = magnitudes.shape[1:3]
        computed = on_grid(wanted, frames)
        compiled = self._for(frames, bins, computed)
        asked = slice(wanted.start - computed.start, wanted.stop - computed.start)
        found = np.empty((len(magnitudes), len(self._variant.stems), len(wanted), bins, CHANNELS), np.float32)
        with self._request(compiled) as request:
            for row, window in zip(found, np.ascontiguousarray(magnitudes), strict=True):
                request.infer([window[None]], share_inputs=True)
                row[:] = request.get_output_tensor().data[0, :, asked]
        return found

    def _for(self, frames: int, bins: int, wanted: range) -> _Compiled:
        """The networks for windows of this shape; nobody waits while those for another one are compiled."""
        shape = (frames, bins, wanted)
        found = self._compiled.get(shape)
        if found is None:
            graph = _Graph(self._variant, self._weights, frames, wanted)
            network = self._core.compile_model(graph.model(bins), "CPU", self._config)
            if isinstance(self._weights, MappedTensors):
                self._weights.release()
            with self._lock:
                found = self._compiled.setdefault(shape, _Compiled(network, []))
                for oldest in [*self._compiled][:-MOST]:
                    del self._compiled[oldest]
        return found

    @contextmanager
    def _request(self, compiled: _Compiled) -> Iterator[InferRequest]:
        """A request that no other thread has meanwhile."""
        with self._lock:
            request = compiled.idle.pop() if compiled.idle else compiled.network.create_infer_request()
        yield request
        with self._lock:
            compiled.idle.append(request)
