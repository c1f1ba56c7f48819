"""Spleeter for streams: 2, 4 or 5 stems, on the CPU by ONNX Runtime or on a GPU by torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from audio_pipeline.errors import ConfigError, WeightsError, nearest
from audio_pipeline.models import weights as registry
from audio_pipeline.models.separation_types import State, Window
from audio_pipeline.models.spleeter_layout import BINS, RATE, VARIANTS, Variant, Weights, check_weights

Array = np.ndarray[Any, np.dtype[Any]]
DEVICES = ("auto", "cpu", "cuda")


class Unets(Protocol):
    """The networks of all stems on one device."""

    def masks(self, magnitudes: Array, wanted: range) -> Array:
        """Masks (batch, stems, wanted, bins, channels) for magnitudes (batch, frames, bins, channels)."""


class Spleeter:
    """The stateless mask model that `separation.SeparatorStream` drives."""

    rate = RATE
    bins = BINS

    def __init__(self, variant: Variant, unets: Unets) -> None:
        self.variant = variant
        self.stems = variant.stems
        self._unets = unets

    def initial_state(self) -> State:
        """None: a window holds all that the network sees."""
        return None

    def step(self, windows: Sequence[Window], states: Sequence[State]) -> tuple[Array, list[State]]:
        """Masks (windows, stems, wanted, bins, channels); windows of one shape share one inference."""
        count = {len(window.wanted) for window in windows}
        if len(count) != 1:
            raise ValueError(f"windows of one step must want equally many frames, got {sorted(count)}")
        order = sorted(range(len(windows)), key=lambda i: (len(windows[i].magnitudes), windows[i].wanted.start))
        shape = (len(windows), len(self.stems), *count, self.bins, 2)
        masks = np.empty(shape, np.float32)
        for (_, start), same in groupby(order, lambda i: (len(windows[i].magnitudes), windows[i].wanted.start)):
            rows = list(same)
            batch = np.stack([windows[i].magnitudes for i in rows])
            masks[rows] = self._unets.masks(batch, range(start, start + shape[2]))
        return masks, list(states)


def load(name: str = "spleeter-2stems", *, device: str = "auto", threads: int = 0) -> Spleeter:
    """The named model with its released weights, fetched first where they are missing."""
    if name not in VARIANTS:
        raise ConfigError(f"model: expected one of {', '.join(VARIANTS)}, got {name!r}{nearest(name, VARIANTS)}")
    return from_file(registry.path(name, "model.safetensors"), VARIANTS[name], device=device, threads=threads)


def from_file(path: Path, variant: Variant, *, device: str = "auto", threads: int = 0) -> Spleeter:
    """A model from a converted file."""
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is not a safetensors file: {error}") from error
    check_weights(variant, weights)
    return Spleeter(variant, _unets(variant, weights, device, threads))


def _unets(variant: Variant, weights: Weights, device: str, threads: int) -> Unets:
    if device not in DEVICES:
        raise ConfigError(f"device: expected one of {', '.join(DEVICES)}, got {device!r}{nearest(device, DEVICES)}")
    if device != "cpu":
        from audio_pipeline.models.spleeter_torch import TorchUnets, cuda_is_here

        if cuda_is_here():
            return TorchUnets(variant, weights, "cuda")
        if device == "cuda":
            raise ConfigError("device: 'cuda' was asked for, but torch finds no CUDA device; use 'auto' or 'cpu'")
    from audio_pipeline.models.spleeter_onnx import OnnxUnets

    return OnnxUnets(variant, weights, threads)
