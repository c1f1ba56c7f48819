"""Joins DeepFilterNet3's three ONNX graphs into one whose memory is given and returned: a step of one frame.

The released graphs (`enc`, `erb_dec`, `df_dec`; DeepFilterNet/df/scripts/export.py) take a whole sequence: their GRUs
begin at zero and their convolutions over time are padded with zeros. Here each of these is an input and an output, so
that a stream can be shown frame by frame, and a batch holds a frame of each of many streams.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import onnx
from onnx import TensorProto, compose, helper

from audio_pipeline.errors import WeightsError

PARTS = ("enc", "erb_dec", "df_dec")
ERB_BANDS, FILTERED_BINS, TAPS = 32, 96, 5
CHANNELS, HIDDEN = 64, 256
PAST = 2  # frames before the newest that the first convolutions see
PATHWAY_PAST = 4  # frames before the newest that the last convolution over time sees
BATCH = "batch"
STATES: dict[str, tuple[int, ...]] = {  # of one stream; a GRU's batch stands in the middle: (layers, batch, hidden)
    "pathway": (CHANNELS, PATHWAY_PAST, FILTERED_BINS),
    "enc_hidden_0": (1, HIDDEN),
    "erb_dec_hidden_0": (1, HIDDEN),
    "erb_dec_hidden_1": (1, HIDDEN),
    "df_dec_hidden_0": (1, HIDDEN),
    "df_dec_hidden_1": (1, HIDDEN),
}


def step_graph(parts: dict[str, bytes]) -> onnx.ModelProto:
    """The graph of one step from the three released ones, by name. Raises WeightsError where they are others.

    Inputs: `feat_erb` (batch, 1, 1 + PAST, ERB_BANDS), `feat_spec` (batch, 2, 1 + PAST, FILTERED_BINS) and STATES;
    outputs: `m`, the gains of the bands, `coefs`, the taps of the filter, and STATES with `_after`.
    """
    try:
        graphs = {name: _stateful(onnx.load_from_string(parts[name]).graph, name) for name in PARTS}
        joined = _joined(graphs)
        onnx.checker.check_model(joined)
        return joined
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise WeightsError(f"DeepFilterNet3: the graphs are not the released ones: {error}") from error
    except Exception as error:  # protobuf and the checker have errors of their own
        raise WeightsError(f"DeepFilterNet3: the graphs cannot be read: {error}") from error


def _stateful(graph: Any, name: str) -> Any:
    """The graph without zeros: paddings over time are left to the caller, GRUs begin with what they are given."""
    unpadded = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Pad"}
    nodes = [node for node in graph.node if node.op_type != "Pad"]
    for node in nodes:
        node.input[:] = [unpadded.get(value, value) for value in node.input]
    hidden = [_given_hidden(node, f"{name}_hidden_{i}") for i, node in enumerate(_grus(nodes))]
    inputs = [_value(value.name) for value in graph.input] + [_value(state) for state in hidden]
    wanted = [value.name for value in graph.output if value.name in ("e0", "e1", "e2", "e3", "emb", "c0", "m", "coefs")]
    outputs = [_value(value) for value in (*wanted, *(f"{state}_after" for state in hidden))]
    kept = _needed(nodes, [value.name for value in outputs])
    return helper.make_graph(kept, name, inputs, outputs, _used(graph.initializer, kept))


def _grus(nodes: Iterable[Any]) -> Iterator[Any]:
    return (node for node in nodes if node.op_type == "GRU")


def _given_hidden(node: Any, state: str) -> str:
    """Makes a GRU's memory an input, its fifth, and an output, its second."""
    node.input[5] = state
    del node.output[1:]
    node.output.append(f"{state}_after")
    return state


def _needed(nodes: list[Any], outputs: Iterable[str]) -> list[Any]:
    """The nodes on which the outputs depend, in their order."""
    wanted, kept = set(outputs), list[Any]()
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


def _used(initializers: Iterable[Any], nodes: list[Any]) -> list[Any]:
    names = {value for node in nodes for value in node.input}
    return [tensor for tensor in initializers if tensor.name in names]


def _value(name: str, shape: tuple[int | str, ...] | None = None) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _joined(graphs: dict[str, Any]) -> onnx.ModelProto:
    """The three graphs one behind the other, and the frames of the pathway that came before."""
    for name in PARTS:
        graphs[name] = compose.add_prefix_graph(graphs[name], f"{name}/")
    nodes = [node for name in PARTS for node in graphs[name].node]
    weights = [tensor for name in PARTS for tensor in graphs[name].initializer]
    links = {f"erb_dec/{value}": f"enc/{value}" for value in ("emb", "e3", "e2", "e1", "e0")}
    links |= {"df_dec/emb": "enc/emb", "df_dec/c0": "pathway_seen"}
    links |= {f"enc/{value}": value for value in ("feat_erb", "feat_spec")}
    links |= {"erb_dec/m": "m", "df_dec/coefs": "coefs"}
    for state in STATES:
        part = state.split("_hidden")[0]
        links |= {f"{part}/{state}": state, f"{part}/{state}_after": f"{state}_after"}
    for node in nodes:
        node.input[:] = [links.get(value, value) for value in node.input]
        node.output[:] = [links.get(value, value) for value in node.output]
    seen, first, newest = (
        helper.make_node("Concat", ["pathway", "enc/c0"], ["pathway_seen"], axis=2),
        helper.make_node("Constant", [], ["first"], value_ints=[1]),
        helper.make_node("Constant", [], ["newest"], value_ints=[1 + PATHWAY_PAST]),
    )
    axis = helper.make_node("Constant", [], ["axis"], value_ints=[2])
    after = helper.make_node("Slice", ["pathway_seen", "first", "newest", "axis"], ["pathway_after"])
    at = 1 + max(i for i, node in enumerate(nodes) if "enc/c0" in node.output)
    nodes = [first, newest, axis, *nodes[:at], seen, after, *nodes[at:]]
    graph = helper.make_graph(nodes, "DeepFilterNet3", _inputs(), _outputs(), weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=7)


def _state_shape(name: str) -> tuple[int | str, ...]:
    shape = STATES[name]
    return (shape[0], BATCH, *shape[1:]) if "hidden" in name else (BATCH, *shape)


def _inputs() -> list[Any]:
    features = [
        _value("feat_erb", (BATCH, 1, 1 + PAST, ERB_BANDS)),
        _value("feat_spec", (BATCH, 2, 1 + PAST, FILTERED_BINS)),
    ]
    return features + [_value(name, _state_shape(name)) for name in STATES]


def _outputs() -> list[Any]:
    answers = [_value("m", (BATCH, 1, 1, ERB_BANDS)), _value("coefs", (BATCH, 1, FILTERED_BINS, 2 * TAPS))]
    return answers + [_value(f"{name}_after", _state_shape(name)) for name in STATES]
