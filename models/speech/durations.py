"""Opens up networks that speak: how long each sign lasts comes out, and silence at the ends is not vocoded.

Kokoro and the light voice both predict, for each sign of the text, a number of frames: `Round`, then `Clip` to at
least 1; then the encoding of each sign is repeated so often. Their graphs as published keep that number to
themselves; it becomes a further output, `frames`.

A clause of Kokoro's begins with about 0.3 s of silence and ends with 0.5 s, which is dear to make and then cut away.
Shorter pads are no remedy: the network answers to them, and swallows the first consonant. So durations, pitch and
energy are predicted in full, and what goes to the vocoder, by far the dearest part, is cut: of the first pad and of
the last sign with all behind it no more frames are kept than a new input `keep` (2,) says.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audio_pipeline.errors import WeightsError
from audio_pipeline.models.speech.engine import Word
from audio_pipeline.models.speech.phonemes import Spoken

FRAMES, KEEP = "frames", "keep"  # output (signs,) or (1, signs), float32; input (2,), int64
FRAME = 600  # samples of a frame at 24 kHz, in both networks
EARLY = 1  # frames: a sign is heard before its own begin
SHORT = (8, 16)  # frames that are kept of the first pad, and from the last sign on
ALL = (1 << 20, 1 << 20)
CUT = {  # what Kokoro's vocoder is given, and its steps in a frame; time is the last axis
    "/encoder/MatMul_1_output_0": 1,
    "/encoder/Reshape_output_0": 2,
    "/encoder/Reshape_1_output_0": 2,
}
Floats = np.ndarray[Any, np.dtype[np.float32]]


def with_durations(path: Path, *, cut: bool = False) -> bytes:
    """The network in an ONNX file with `frames`, and for Kokoro with `keep`. Raises WeightsError: built otherwise."""
    import onnx

    model = onnx.load(path)
    graph = model.graph
    rounded = {node.output[0] for node in graph.node if node.op_type == "Round"}
    clips = [node for node in graph.node if node.op_type == "Clip" and node.input[0] in rounded]
    if len(clips) != 1:
        raise WeightsError(f"{str(path)!r}: expected one Clip behind a Round, the durations, found {len(clips)}")
    _insert(graph, clips[0], [onnx.helper.make_node("Identity", [clips[0].output[0]], [FRAMES], name="tell")])
    graph.output.append(onnx.helper.make_tensor_value_info(FRAMES, onnx.TensorProto.FLOAT, None))
    if cut:
        graph.input.append(onnx.helper.make_tensor_value_info(KEEP, onnx.TensorProto.INT64, [2]))
        _cut(graph, clips[0], path)
    data: bytes = model.SerializeToString()
    return data


def _insert(graph: Any, after: Any, nodes: list[Any]) -> None:
    at = list(graph.node).index(after) + 1
    for number, node in enumerate(nodes):
        graph.node.insert(at + number, node)


def _cut(graph: Any, durations: Any, path: Path) -> None:
    makers = {name: node for node in graph.node for name in node.output if name in CUT}
    if makers.keys() != CUT.keys():
        missing = ", ".join(CUT.keys() - makers.keys())
        raise WeightsError(f"{str(path)!r}: expected {missing}, which Kokoro's vocoder is given")
    _insert(graph, durations, _edges(graph, durations.output[0]))
    for number, (name, steps) in enumerate(CUT.items()):
        _insert(graph, makers[name], _slice(makers[name], name, f"edge{steps}", number))


def _slice(maker: Any, name: str, edges: str, number: int) -> list[Any]:
    import onnx

    whole = f"{name}_whole"
    maker.output[list(maker.output).index(name)] = whole
    slice_ = onnx.helper.make_node("Slice", [whole, f"{edges}_from", f"{edges}_to", "edge_axis"], [name])
    slice_.name = f"cut{number}"
    return [slice_]


def _edges(graph: Any, frames: str) -> list[Any]:
    """Nodes that compute from where to where, in frames (`edge1_`) and half frames (`edge2_`).

    from = max(frames[0] - keep[0], 0); to = sum(frames) - max(sum(frames[-3:]) - keep[1], 0)
    """
    import onnx

    def constant(name: str, values: list[int]) -> None:
        graph.initializer.append(onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [len(values)], values))

    values = {"axis": [-1], "zero": [0], "one": [1], "two": [2], "last": [-3], "end": [1 << 30]}
    for name, value in values.items():
        constant(f"edge_{name}", value)
    steps: list[tuple[str, list[str], str]] = [
        ("Reshape", [frames, "edge_axis"], "flat_float"),
        ("Cast", ["flat_float"], "flat"),
        ("Slice", ["flat", "edge_zero", "edge_one"], "pad"),
        ("Slice", ["flat", "edge_last", "edge_end"], "tail"),
        ("Slice", [KEEP, "edge_zero", "edge_one"], "keep0"),
        ("Slice", [KEEP, "edge_one", "edge_two"], "keep1"),
        ("Sub", ["pad", "keep0"], "spare0"),
        ("Max", ["spare0", "edge_zero"], "1_from"),
        ("ReduceSum", ["tail"], "tails"),
        ("Sub", ["tails", "keep1"], "spare1"),
        ("Max", ["spare1", "edge_zero"], "less"),
        ("ReduceSum", ["flat"], "total"),
        ("Sub", ["total", "less"], "1_to"),
        ("Mul", ["1_from", "edge_two"], "2_from"),
        ("Mul", ["1_to", "edge_two"], "2_to"),
    ]
    known = {frames, KEEP}
    named = {out: f"edge{out}" if out[0].isdigit() else f"edge_{out}" for _, _, out in steps}
    nodes = []
    for kind, inputs, out in steps:
        options: dict[str, Any] = {"to": onnx.TensorProto.INT64} if kind == "Cast" else {}
        into = [name if name in known else named.get(name, name) for name in inputs]
        nodes.append(onnx.helper.make_node(kind, into, [named[out]], name=f"edge {out}", **options))
    return nodes


def kept(frames: Floats, keep: tuple[int, int]) -> Floats:
    """The frames (signs,) of each sign that are heard, after the cut."""
    found: Floats = frames.ravel().copy()
    found[0] = min(found[0], keep[0])
    spare = max(float(found[-3:].sum()) - keep[1], 0.0)
    for sign in (-1, -2, -3):
        less = min(spare, float(found[sign]))
        found[sign], spare = found[sign] - less, spare - less
    return found


def timings(spoken: Sequence[Spoken], known: frozenset[str], frames: Floats) -> tuple[Word, ...]:
    """Where words are, in samples, by the frames (signs,) of their signs; the first and the last are the pads.

    Signs that are not in `known` were never given to the network, and a space stands between two words.
    """
    edges = np.maximum(np.concatenate([[0.0], np.cumsum(frames.ravel())]) - EARLY, 0.0) * FRAME
    found: list[Word] = []
    sign = 1  # behind the first pad
    for word in spoken:
        end = min(sign + sum(char in known for char in word.phonemes), len(edges) - 2)
        if end > sign:
            found.append(Word(word.text, int(edges[sign]), int(edges[end])))
        sign = min(end + 1, len(edges) - 2)
    return tuple(found)
