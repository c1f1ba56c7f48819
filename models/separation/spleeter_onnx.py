"""Spleeter's U-Nets as ONNX graphs, run by ONNX Runtime on the CPU.

A graph is made in memory for one length of window and one range of wanted frames, and computes only what
those frames depend on: two thirds of the network's work is in its decoder, of which a sliding window needs
the last few frames. The weights are handed over by name. ONNX Runtime keeps a copy in the layout of its kernels, and
nothing of the arrays.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from audio_pipeline.errors import ConfigError
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

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
PROVIDER_OPTIONS = {CUDA: {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}}  # quick to start, and exact
OPSET, IR = 17, 9  # what ONNX Runtime 1.17 and later read
ANY = 1 << 16  # frames of a graph for windows of any length: it counts them from the end of the window
TO_THE_END = (1 << 63) - 1  # of a slice


class _Graph:
    """Collects nodes; every method returns the name of the value it made."""

    def __init__(self, variant: Variant, weights: Weights, frames: int, wanted: range) -> None:
        self.variant, self.weights, self.frames, self.wanted = variant, weights, frames, wanted
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
        """A weight by its name in the file, marked as lying outside the graph."""
        self.used[name] = self.weights[name]
        return name

    def conv(self, kind: str, x: str, layer: str, **attributes: Any) -> str:
        return self.op(kind, x, self.weight(f"{layer}.kernel"), self.weight(f"{layer}.bias"), **attributes)

    def norm(self, x: str, layer: str) -> str:
        """scale * x + shift by channel, as the batch normalisation it was: the runtime knows how to fuse that."""
        count = len(self.weights[f"{layer}.scale"])
        zeros, ones = self.constant(np.zeros(count)), self.constant(np.ones(count))
        return self.op(
            "BatchNormalization",
            x,
            self.weight(f"{layer}.scale"),
            self.weight(f"{layer}.shift"),
            zeros,
            ones,
            epsilon=0.0,
        )

    def cut(self, x: str, have: range, need: range) -> str:
        """Frames `need` of a value that holds frames `have`; counted from the end, as shorter windows have it too."""
        if have == need:
            return x
        stop = TO_THE_END if need.stop == have.stop else need.stop - have.stop
        bounds = (self.constant([need.start - have.stop], np.int64), self.constant([stop], np.int64))
        return self.op("Slice", x, *bounds, self.constant([TIME], np.int64))

    def unet(self, stem: str, x: str) -> str:
        """The head's raw output, before sigmoid or softmax, over the wanted frames."""
        return self.decode(stem, self.encode(stem, x))

    def encode(self, stem: str, x: str) -> list[str]:
        """The convolutions of all levels before normalisation; TensorFlow's 'same' pads 1 before and 2 after."""
        raw: list[str] = []
        for k in range(1, LEVELS + 1):
            raw.append(self.conv("Conv", x, f"{stem}.enc{k}", strides=[2, 2], pads=[1, 1, 2, 2]))
            if k < LEVELS:
                x = self.norm(raw[-1], f"{stem}.enc{k}")
                x = self.op("Elu", x) if self.variant.elu else self.op("LeakyRelu", x, alpha=LEAK)
        return raw

    def decode(self, stem: str, raw: list[str]) -> str:
        ranges = decoder_ranges(self.wanted, self.frames)
        have = range(self.frames >> LEVELS)
        x = raw.pop()
        for k, out in enumerate(ranges, 1):
            x = self.norm(self.grow(x, f"{stem}.dec{k}"), f"{stem}.dec{k}")
            x = self.cut(x, range(2 * have.start, 2 * have.stop), out)
            if raw:
                x = self.op("Concat", self.cut(raw.pop(), range(self.frames >> (LEVELS - k)), out), x, axis=1)
            have = out
        before = HEAD_REACH - (self.wanted.start - have.start)
        after = HEAD_REACH - (have.stop - self.wanted.stop)
        return self.conv("Conv", x, f"{stem}.head", dilations=[2, 2], pads=[before, 3, after, 3])

    def grow(self, x: str, layer: str) -> str:
        """A transposed convolution and its activation.

        ONNX Runtime has a slow kernel for it. So where there are channels enough it is four plain ones, one for
        each parity of the output's frame and bin, whose outputs are interleaved: a sixth off the whole network.
        """
        activation = "Elu" if self.variant.elu else "Relu"
        if self.weights[f"{layer}.kernel"].shape[1] == 1:
            return self.op(activation, self.conv("ConvTranspose", x, layer, strides=[2, 2], pads=[1, 1, 2, 2]))
        phases = [self.op(activation, self.phase(x, layer, time, frequency)) for time in (0, 1) for frequency in (0, 1)]
        return self.op("DepthToSpace", self.op("Concat", *phases, axis=1), blocksize=2, mode="DCR")

    def phase(self, x: str, layer: str, time: int, frequency: int) -> str:
        """The outputs of one parity: even ones sum taps 3 and 1 of inputs -1 and 0, odd ones 4, 2, 0 of -1, 0, 1."""
        taps = [[3, 1], [4, 2, 0]]
        name = f"{layer}.phase{time}{frequency}"
        kernel = self.weights[f"{layer}.kernel"][:, :, taps[time]][:, :, :, taps[frequency]]
        self.used[name] = kernel.transpose(1, 0, 2, 3)
        return self.op("Conv", x, name, self.weight(f"{layer}.bias"), pads=[1, 1, time, frequency])

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

    def finish(self) -> None:
        """From `magnitudes` (batch, frames, bins, channels) to `masks` (batch, stems, wanted, bins, channels)."""
        x = self.op("Transpose", "magnitudes", perm=[0, 3, 1, 2])
        heads = self.heads([self.unet(stem, x) for stem in self.variant.stems])
        seen = self.cut(x, range(self.frames), self.wanted)
        masks = self.ratio([self.op("Mul", head, seen) for head in heads])
        axis = self.constant([1], np.int64)
        shaped = [self.op("Unsqueeze", self.op("Transpose", m, perm=[0, 2, 3, 1]), axis) for m in masks]
        self.nodes.append(helper.make_node("Concat", shaped, ["masks"], axis=1))


def build(variant: Variant, weights: Weights, frames: int, bins: int, wanted: range) -> tuple[bytes, dict[str, Array]]:
    """The serialised graph for windows of `frames` and the weights it names.

    With `frames` of `ANY` it takes windows of all lengths that hold the wanted frames and `HEAD_REACH` before them.
    """
    g = _Graph(variant, weights, frames, wanted)
    g.finish()
    shape: list[str | int | None] = ["batch", "frames" if frames == ANY else frames, bins, CHANNELS]
    result: list[str | int | None] = ["batch", len(variant.stems), len(wanted), bins, CHANNELS]
    graph = helper.make_graph(
        g.nodes,
        variant.name,
        [helper.make_tensor_value_info("magnitudes", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("masks", TensorProto.FLOAT, result)],
        [*(_outside(name, array) for name, array in g.used.items()), *g.constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    return model.SerializeToString(), g.used


def _outside(name: str, array: Array) -> Any:
    """A tensor whose content is handed over at run time, in the form of external data."""
    tensor = onnx.TensorProto(name=name, data_type=TensorProto.FLOAT, dims=array.shape)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights")
    return tensor


class _Session(NamedTuple):
    """ONNX Runtime's session, and what it answers: `wanted` counts from the end of a window, which is 0."""

    runtime: Any
    frames: int  # of a window, or `ANY`
    bins: int
    wanted: range

    def answers(self, frames: int, bins: int, wanted: range) -> bool:
        """Whether the frames `wanted` of such a window are among its answers."""
        fits = self.frames in (frames, ANY if frames + self.wanted.start >= HEAD_REACH else frames)
        return fits and self.bins == bins and self.wanted.start <= wanted.start and wanted.stop <= self.wanted.stop

    def replaces(self, other: _Session) -> bool:
        """Whether it answers whatever the other does."""
        within = self.wanted.start <= other.wanted.start and other.wanted.stop <= self.wanted.stop
        return within and (self.frames, self.bins) == (other.frames, other.bins)


class OnnxUnets:
    """All U-Nets of a variant on the CPU, on `threads` threads (0: as many as there are cores), or by another
    of ONNX Runtime's execution providers; ConfigError where that one does not take the graph.

    Each session holds the weights again (79 MB). One serves the windows of all lengths that a stream asks for on its
    ladder, since it wants the same frames at the end of each; windows whose first frames are wanted have their own.
    """

    def __init__(self, variant: Variant, weights: Weights, threads: int = 0, provider: str = CPU) -> None:
        self._variant, self._weights, self._threads, self._provider = variant, weights, threads, provider
        self._sessions: list[_Session] = []

    def masks(self, magnitudes: Array, wanted: range) -> Array:
        """Masks (batch, stems, wanted, bins, channels) for magnitudes (batch, frames, bins, channels)."""
        frames, bins = magnitudes.shape[1:3]
        computed = on_grid(wanted, frames)
        session = self._session(frames, bins, range(computed.start - frames, computed.stop - frames))
        masks: Array = session.runtime.run(None, {"magnitudes": magnitudes})[0]
        first = frames + session.wanted.start
        return masks[:, :, wanted.start - first : wanted.stop - first]

    def _session(self, frames: int, bins: int, wanted: range) -> _Session:
        """One that answers at least these frames, to the same bits; the larger of two takes the place of the other."""
        for session in self._sessions:
            if session.answers(frames, bins, wanted):
                return session
        at_end = wanted.stop == 0 and frames + wanted.start >= HEAD_REACH
        opened = self._open(ANY if at_end else frames, bins, wanted)
        self._sessions = [session for session in self._sessions if not opened.replaces(session)] + [opened]
        return opened

    def _open(self, frames: int, bins: int, wanted: range) -> _Session:
        from_start = range(frames + wanted.start, frames + wanted.stop)
        graph, used = build(self._variant, dict(self._weights), frames, bins, from_start)
        options = self._options(frames)
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array)) for array in used.values()]
        options.add_external_initializers(list(used), values)
        provider = (self._provider, PROVIDER_OPTIONS.get(self._provider, {}))
        session = onnxruntime.InferenceSession(graph, options, providers=[provider])
        if session.get_providers()[0] != self._provider:  # it falls back silently
            raise ConfigError(f"ONNX Runtime should use {self._provider}, but uses {session.get_providers()[0]}")
        return _Session(session, frames, bins, wanted)

    def _options(self, frames: int) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        # Threads that spin while they wait are a fifth quicker on an idle machine and half as quick on a busy one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # What is computed in between lies in an arena, which keeps 40 MB for a window of 128 frames that asks for 3 MB
        # at a time. Without it that window is as quick; one of 512 frames, all wanted, takes half as long again.
        options.enable_cpu_mem_arena = frames != ANY
        return options
