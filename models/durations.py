"""Opens up a network that speaks: how long each sign lasts goes out of it, and the longest each may last goes in.

Kokoro and the light voice both predict, for each sign of the text, a number of frames: `Round`, then `Clip` to at
least 1; then the encoding of each sign is repeated so often. Their graphs as published keep that number to themselves.
Behind the Clip goes a Min with a new input `most`, and its result becomes a further output, `frames`. With `most`
out of reach the sound is bit for bit the same. Held short are the pads before and after a text and its closing
mark, which else take 0.6 s of silence: time to make, and then trimmed away.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audio_pipeline.errors import WeightsError
from audio_pipeline.models.phonemes import Spoken
from audio_pipeline.models.speech_engine import Word

MOST, FRAMES = "most", "frames"  # the new input (signs,) and output (signs,) or (1, signs), float32
FRAME = 600  # samples of a frame at 24 kHz, in both networks
PAD, MARK = 2.0, 3.0  # frames that are left of a pad, and of a closing mark
UNLIMITED = 1e6
MARKS = frozenset(".,!?;:…—")
Floats = np.ndarray[Any, np.dtype[np.float32]]


def opened(path: Path) -> bytes:
    """The network in an ONNX file, with the input and the output. Raises WeightsError where it is built otherwise."""
    import onnx

    model = onnx.load(path)
    graph = model.graph
    rounded = {node.output[0] for node in graph.node if node.op_type == "Round"}
    clips = [i for i, node in enumerate(graph.node) if node.op_type == "Clip" and node.input[0] in rounded]
    if len(clips) != 1:
        raise WeightsError(f"{str(path)!r}: expected one Clip behind a Round, the durations, found {len(clips)}")
    clip = graph.node[clips[0]]
    held, clip.output[0] = clip.output[0], f"{clip.output[0]}_free"
    graph.node.insert(clips[0] + 1, onnx.helper.make_node("Min", [clip.output[0], MOST], [held], name="hold"))
    graph.node.insert(clips[0] + 2, onnx.helper.make_node("Identity", [held], [FRAMES], name="tell"))
    graph.input.append(onnx.helper.make_tensor_value_info(MOST, onnx.TensorProto.FLOAT, ["signs"]))
    graph.output.append(onnx.helper.make_tensor_value_info(FRAMES, onnx.TensorProto.FLOAT, None))
    data: bytes = model.SerializeToString()
    return data


def limits(signs: int, closing: str = "", *, held: bool = True) -> Floats:
    """`most` (signs,) for a text between two pads that ends with the sign `closing`."""
    most = np.full(signs, UNLIMITED, np.float32)
    if held:
        most[[0, -1]] = PAD
        if closing in MARKS and signs > 3:
            most[-2] = MARK
    return most


def words(spoken: Sequence[Spoken], known: frozenset[str], frames: Floats) -> tuple[Word, ...]:
    """Where words are, in samples, by the frames (signs,) of their signs; the first and the last are the pads.

    Signs that are not in `known` were never given to the network, and a space stands between two words.
    """
    edges = np.concatenate([[0.0], np.cumsum(frames.ravel())]) * FRAME
    found: list[Word] = []
    sign = 1  # behind the first pad
    for word in spoken:
        end = min(sign + sum(char in known for char in word.phonemes), len(edges) - 2)
        if end > sign:
            found.append(Word(word.text, int(edges[sign]), int(edges[end])))
        sign = min(end + 1, len(edges) - 2)
    return tuple(found)
