"""Kokoro's weights out of its int8 ONNX file as float32 tensors, named as the original network's modules are.

The file keeps a weight as integers with a scale and a zero point (q - zero) * scale; the node that uses it says by
its name to which module it belongs. The twelve ALBERT layers share one set of weights, so the first use counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, numpy_helper

from audio_pipeline.errors import WeightsError

Array = np.ndarray[Any, np.dtype[np.float32]]
Initial = dict[str, np.ndarray[Any, np.dtype[Any]]]

QUANTISED = "_quantized"
RECURRENT = "DynamicQuantizeLSTM"
INTEGER, PLAIN = ("MatMulInteger", "ConvInteger"), ("MatMul", "Conv", "ConvTranspose")
PARTS = ("encoder.", "decoder.")
PREDICTOR = ("F0.", "N.", "F0_proj", "N_proj", "shared")  # traced outside the module that holds them


def read_weights(path: Path) -> dict[str, Array]:
    """Tensors by the names torch gives them, e.g. `decoder.encode.conv1.weight`. Raises WeightsError."""
    try:
        graph = onnx.load(path).graph
    except Exception as error:  # protobuf raises its own classes, which differ between its implementations
        raise WeightsError(f"{path} is not an ONNX file: {error}") from error
    initial: Initial = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = {
        _short(name): value
        for name, value in initial.items()
        if name.startswith(PARTS) and value.dtype == np.float32 and not name.endswith("_scale")
    }
    for node in graph.node:
        for name, value in _of_node(node, initial):
            found.setdefault(name, np.array(value, np.float32))
    return found


def _of_node(node: NodeProto, initial: Initial) -> Iterator[tuple[str, Array]]:
    """The weight that a node multiplies with or looks up; of equal zero points one is kept, so the node names it."""
    inputs = list(node.input)
    if node.op_type == RECURRENT:
        yield from _lstm(_module(node), inputs, initial)
    elif node.op_type == "DequantizeLinear":  # of the rows that were looked up
        name = inputs[1].removesuffix("_scale")
        yield _short(name), _dequantised(initial, name + QUANTISED, *inputs[1:])
    elif node.op_type in INTEGER and inputs[1] in initial:
        scale = inputs[1].removesuffix(QUANTISED) + "_scale"
        value = _dequantised(initial, inputs[1], scale, inputs[3])
        yield _module(node) + ".weight", value.T if node.op_type == "MatMulInteger" else value
    elif node.op_type in PLAIN and inputs[1] in initial:
        value = initial[inputs[1]]
        yield _module(node) + ".weight", value.T if node.op_type == "MatMul" else value


def _lstm(module: str, inputs: list[str], initial: Initial) -> Iterator[tuple[str, Array]]:
    """Both directions of an LSTM; ONNX orders gates (input, output, forget, cell), torch (i, f, c, o)."""
    w, r = (_dequantised(initial, inputs[i], *inputs[j : j + 2]) for i, j in ((1, 8), (2, 10)))
    bias = initial[inputs[3]]
    for direction, suffix in enumerate(("", "_reverse")):
        yield f"{module}.weight_ih_l0{suffix}", _gates(w[direction].T)
        yield f"{module}.weight_hh_l0{suffix}", _gates(r[direction].T)
        ih, hh = np.split(bias[direction], 2)
        yield f"{module}.bias_ih_l0{suffix}", _gates(ih)
        yield f"{module}.bias_hh_l0{suffix}", _gates(hh)


def _gates(rows: Array) -> Array:
    i, o, f, c = np.split(rows, 4)
    return np.concatenate([i, f, c, o])


def _dequantised(initial: Initial, name: str, scale_name: str, zero_name: str) -> Array:
    raw, scale = initial[name].astype(np.float32), initial[scale_name]
    zero = initial[zero_name].astype(np.float32)
    if raw.ndim == 3 and scale.ndim:  # an LSTM's: one scale a direction
        scale, zero = scale.reshape(-1, 1, 1), zero.reshape(-1, 1, 1)
    value: Array = (raw - zero) * scale
    return value


def _short(name: str) -> str:
    return name.removeprefix("encoder.").removeprefix("decoder.")


def _module(node: NodeProto) -> str:
    """`/encoder/text_encoder/cnn.0/cnn.0.0/Conv_quant` is `text_encoder.cnn.0.0`."""
    part, *path = node.name.strip("/").split("/")[:-1]
    kept: list[str] = []
    for segment in path:
        if kept and segment.startswith(kept[-1] + "."):
            kept.pop()
        kept.append(segment)
    module = ".".join(kept)
    return "predictor." + module if part == "encoder" and module.startswith(PREDICTOR) else module
