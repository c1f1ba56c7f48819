"""Spleeter's U-Nets as one ONNX graph, run by ONNX Runtime on the CPU.

The graph is a few kilobytes built in memory at start; the weights stay in the arrays they were loaded into
and are handed to the runtime by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from audio_pipeline.models.spleeter_layout import CHANNELS, LEAK, LEVELS, MASK_EPSILON, Array, Variant, Weights

OPSET, IR = 17, 9  # what ONNX Runtime 1.17 and later read


class _Graph:
    """Collects nodes; every method returns the name of the value it made."""

    def __init__(self, variant: Variant, weights: Weights) -> None:
        self.variant, self.weights = variant, weights
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.used: dict[str, Array] = {}

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def weight(self, name: str) -> str:
        """A weight by its registry name, marked as lying outside the graph."""
        self.used[name] = self.weights[name]
        return name

    def norm(self, x: str, layer: str) -> str:
        """scale * x + shift by channel, as the batch normalisation it was (the runtime knows that one)."""
        count = len(self.weights[f"{layer}.scale"])
        zeros, ones = self.constant(np.zeros(count)), self.constant(np.ones(count))
        return self.op("BatchNormalization", x, self.weight(f"{layer}.scale"), self.weight(f"{layer}.shift"),
                       zeros, ones, epsilon=0.0)

    def down(self, x: str) -> str:
        return self.op("Elu", x) if self.variant.elu else self.op("LeakyRelu", x, alpha=LEAK)

    def up(self, x: str) -> str:
        return self.op("Elu", x) if self.variant.elu else self.op("Relu", x)

    def unet(self, stem: str, x: str) -> str:
        """The head's raw output, before sigmoid or softmax, for x (batch, channels, frames, bins)."""
        raw: list[str] = []
        current = x
        for k in range(1, LEVELS + 1):  # TensorFlow's 'same' pads 1 before and 2 after
            layer = f"{stem}.enc{k}"
            raw.append(self.op("Conv", current, self.weight(f"{layer}.kernel"), self.weight(f"{layer}.bias"),
                               strides=[2, 2], pads=[1, 1, 2, 2]))
            if k < LEVELS:
                current = self.down(self.norm(raw[-1], layer))
        current = raw.pop()
        for k in range(1, LEVELS + 1):
            layer = f"{stem}.dec{k}"
            grown = self.op("ConvTranspose", current, self.weight(f"{layer}.kernel"), self.weight(f"{layer}.bias"),
                            strides=[2, 2], pads=[1, 1, 2, 2])
            current = self.norm(self.up(grown), layer)
            if raw:
                current = self.op("Concat", raw.pop(), current, axis=1)
        return self.op("Conv", current, self.weight(f"{stem}.head.kernel"), self.weight(f"{stem}.head.bias"),
                       dilations=[2, 2], pads=[3, 3, 3, 3])

    def heads(self, outputs: list[str]) -> list[str]:
        """Each network's own mask: a sigmoid, or a softmax over the stems."""
        if not self.variant.softmax:
            return [self.op("Sigmoid", output) for output in outputs]
        axis = self.constant([0], np.int64)
        stacked = self.op("Concat", *(self.op("Unsqueeze", output, axis) for output in outputs), axis=0)
        shares = self.op("Softmax", stacked, axis=0)
        return [self.op("Gather", shares, self.constant(i, np.int64), axis=0) for i in range(len(outputs))]

    def ratio(self, magnitudes: list[str]) -> list[str]:
        """Spleeter's final mask: each squared output over the sum of all."""
        squares = [self.op("Mul", m, m) for m in magnitudes]
        total = self.op("Add", self.op("Sum", *squares), self.constant(MASK_EPSILON))
        floor = self.constant(MASK_EPSILON / len(squares))
        return [self.op("Div", self.op("Add", square, floor), total) for square in squares]


def build(variant: Variant, weights: Weights) -> tuple[bytes, dict[str, Array]]:
    """The serialised graph and the weights it names.

    Inputs: `magnitudes` (batch, frames, bins, channels), `wanted` (first, end) frames. Output: `masks`
    (batch, stems, wanted, bins, channels).
    """
    g = _Graph(variant, weights)
    x = g.op("Transpose", "magnitudes", perm=[0, 3, 1, 2])
    masks = g.heads([g.unet(stem, x) for stem in variant.stems])
    first, end = (g.op("Slice", "wanted", g.constant([i], np.int64), g.constant([i + 1], np.int64)) for i in (0, 1))
    time = g.constant([2], np.int64)
    x = g.op("Slice", x, first, end, time)
    masks = [g.op("Mul", g.op("Slice", mask, first, end, time), x) for mask in masks]
    axis = g.constant([1], np.int64)
    shaped = [g.op("Unsqueeze", g.op("Transpose", m, perm=[0, 2, 3, 1]), axis) for m in g.ratio(masks)]
    g.nodes.append(helper.make_node("Concat", shaped, ["masks"], axis=1))
    outside = [_outside(name, array) for name, array in g.used.items()]
    inputs = [helper.make_tensor_value_info("magnitudes", TensorProto.FLOAT, ["batch", "frames", "bins", CHANNELS]),
              helper.make_tensor_value_info("wanted", TensorProto.INT64, [2])]
    outputs = [helper.make_tensor_value_info("masks", TensorProto.FLOAT, None)]
    graph = helper.make_graph(g.nodes, variant.name, inputs, outputs, outside + g.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    return model.SerializeToString(), g.used


def _outside(name: str, array: Array) -> Any:
    """A tensor whose content is handed over at run time, in the form of external data."""
    tensor = onnx.TensorProto(name=name, data_type=TensorProto.FLOAT, dims=array.shape)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights")
    return tensor


class OnnxUnets:
    """All U-Nets of a variant on the CPU, on `threads` threads (0: as many as there are cores)."""

    def __init__(self, variant: Variant, weights: Weights, threads: int = 0) -> None:
        graph, used = build(variant, weights)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(a)) for name, a in used.items()}
        options.add_external_initializers(list(values), list(values.values()))
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def masks(self, magnitudes: Array, wanted: range) -> Array:
        """Masks (batch, stems, wanted, bins, channels) for magnitudes (batch, frames, bins, channels)."""
        feed = {"magnitudes": magnitudes, "wanted": np.array([wanted.start, wanted.stop], np.int64)}
        masks: Array = self._session.run(None, feed)[0]
        return masks
