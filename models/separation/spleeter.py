"""Spleeter for streams: 2, 4 or 5 stems, on the CPU by ONNX Runtime or OpenVINO, or on a GPU by torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.models.separation.engines import CHOICES, Known, Way, Wish, known, settle_on_cpu
from audio_pipeline.models.separation.spleeter_layout import VARIANTS, Variant, Weights, check_weights
from audio_pipeline.models.separation.spleeter_precision import Engine, settle
from audio_pipeline.models.separation.types import State, Window
from audio_pipeline.models.weights import store
from audio_pipeline.models.weights.tensors import MappedTensors, TensorFile

Array = np.ndarray[Any, np.dtype[Any]]
DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "fp16", "bf16")


class Spleeter:
    """The stateless mask model that `stream.SeparatorStream` drives.

    `engine` is where and how it computes, `padded` whether batches should always have all their rows, as on a
    GPU, which picks other algorithms for another size and has time for rows that nobody asked for.
    """

    def __init__(self, variant: Variant, unets: Engine, engine: str = "", *, padded: bool = False) -> None:
        self.variant, self.engine, self.padded = variant, engine, padded
        self.spec = variant.spec
        self._unets = unets

    def initial_state(self) -> State:
        """None: a window holds all that the network sees."""
        return None

    def step(self, windows: Sequence[Window], states: Sequence[State]) -> tuple[Array, list[State]]:
        """Masks (windows, stems, wanted, bins, channels); windows of one shape share one inference."""
        count = {len(window.wanted) for window in windows}
        if len(count) != 1:
            raise ValueError(f"windows of one step must request the same number of frames, got {sorted(count)}")
        order = sorted(range(len(windows)), key=lambda i: (len(windows[i].frames), windows[i].wanted.start))
        shape = (len(windows), len(self.spec.stems), *count, self.spec.bins, self.spec.channels)
        masks = np.empty(shape, np.float32)
        for (_, start), same in groupby(order, lambda i: (len(windows[i].frames), windows[i].wanted.start)):
            rows = list(same)
            batch = np.stack([windows[i].frames for i in rows])
            masks[rows] = self._unets.masks(batch, range(start, start + shape[2]))
        return masks, list(states)


def load(
    name: str = "spleeter-2stems",
    *,
    device: str = "auto",
    threads: int = 0,
    precision: str = "auto",
    engine: str = "auto",
) -> Spleeter:
    """The named model with its released weights, fetched first where they are missing.

    `auto` takes what is quickest here and agrees with fp32 to 50 dB, which is measured once and remembered; what has
    to be exact asks for `fp32`.
    """
    if name not in VARIANTS:
        raise ConfigError(f"model: expected one of {', '.join(VARIANTS)}, got {name!r}{nearest(name, VARIANTS)}")
    file, memory = store.path(name, "model.safetensors"), known(name, threads)
    return from_file(
        file,
        VARIANTS[name],
        device=device,
        threads=threads,
        precision=precision,
        engine=engine,
        memory=memory,
    )


def from_file(
    path: Path,
    variant: Variant,
    *,
    device: str = "auto",
    threads: int = 0,
    precision: str = "auto",
    engine: str = "auto",
    memory: Known | None = None,
) -> Spleeter:
    """A model from a converted file; what is measured of it is remembered in `memory`."""
    for key, value, choices in (
        ("device", device, DEVICES),
        ("precision", precision, PRECISIONS),
        ("engine", engine, CHOICES),
    ):
        if value not in choices:
            raise ConfigError(f"{key}: expected one of {', '.join(choices)}, got {value!r}{nearest(value, choices)}")
    weights = TensorFile(path)
    check_weights(variant, weights.shapes)
    found = _on_gpu(variant, weights, device, precision)
    if found is not None:
        return Spleeter(variant, *found, padded=True)
    wish = Wish(engine, precision, required=device == "cpu")
    return Spleeter(variant, *settle_on_cpu(lambda way: _on_cpu(variant, path, threads, way), wish, memory))


def _on_cpu(variant: Variant, path: Path, threads: int, way: Way) -> Engine:
    """The networks by one of the engines; what runs it is imported only now."""
    if way.engine == "openvino":
        from audio_pipeline.models.separation.spleeter_openvino import OpenVinoUnets

        return OpenVinoUnets(variant, MappedTensors(path), threads, way.precision)
    from audio_pipeline.models.separation.spleeter_onnx import OnnxUnets

    return OnnxUnets(variant, TensorFile(path), threads)


def _on_gpu(variant: Variant, weights: Weights, device: str, precision: str) -> tuple[Engine, str] | None:
    """The networks on a GPU and a line for the log: where and how they are computed; None for the CPU."""
    if device == "cpu":
        return None
    from audio_pipeline.models.separation.spleeter_torch import TorchUnets, cuda_is_here, device_name

    if cuda_is_here():
        unets, line = settle(lambda kind: TorchUnets(variant, weights, "cuda", kind), precision)
        return unets, f"{device_name()}: torch {line}"
    if device == "cuda":
        raise ConfigError("device: 'cuda' is set, but torch finds no CUDA device; use 'auto' or 'cpu'")
    return None
