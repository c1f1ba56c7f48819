"""Spleeter's U-Nets in torch, for a GPU; torch is imported only when a network is made.

Shapes are static: a batch is filled up to one of a few sizes, and on a GPU each of them is captured once as a
CUDA graph and then replayed. What a row holds never depends on its neighbours, and at one size not on which
algorithm was picked.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from audio_pipeline.models.separation.spleeter_layout import (
    HEAD_REACH,
    LEAK,
    LEVELS,
    MASK_EPSILON,
    Array,
    Variant,
    Weights,
    decoder_ranges,
)

if TYPE_CHECKING:
    from torch import Tensor

SIZES = (1, 2, 4, 8, 16, 32)
PRECISIONS = ("fp32", "fp16", "bf16")
Runner = Callable[[Array], Array]  # one shape of batch, from and to numpy


def cuda_is_here() -> bool:
    """Whether torch can use a CUDA device; asks the driver first, since importing torch takes seconds."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def device_name() -> str:
    """What the GPU is called."""
    import torch

    return str(torch.cuda.get_device_name())


def padded_sizes(count: int, sizes: tuple[int, ...] = SIZES) -> list[int]:
    """The batches, each of a size from the list, that hold `count` windows.

    >>> padded_sizes(5), padded_sizes(32), padded_sizes(70)
    ([8], [32], [32, 32, 8])
    """
    whole, rest = divmod(count, sizes[-1])
    return [sizes[-1]] * whole + ([next(size for size in sizes if size >= rest)] if rest else [])


class TorchUnets:
    """All U-Nets of a variant on one torch device, computed in fp32, or in fp16 or bf16 up to the last mask.

    `graphs` captures CUDA graphs; it means nothing on the CPU.
    """

    def __init__(
        self,
        variant: Variant,
        weights: Weights,
        device: str,
        precision: str = "fp32",
        *,
        graphs: bool = True,
        sizes: tuple[int, ...] = SIZES,
    ) -> None:
        import torch

        self._variant, self._device, self._sizes = variant, device, sizes
        self._graphs = graphs and device.startswith("cuda")
        self._dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
        self._weights = {name: self._placed(array) for name, array in weights.items()}
        self._runners: dict[tuple[int, int, int, range], Runner] = {}
        self._lock = Lock()

    def _placed(self, array: Array) -> Tensor:
        import torch

        tensor = torch.from_numpy(np.array(array)).to(self._device, self._dtype)
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor

    def masks(self, magnitudes: Array, wanted: range) -> Array:
        """Masks (batch, stems, wanted, bins, channels) for magnitudes (batch, frames, bins, channels)."""
        done, at = [], 0
        with self._lock:
            for size in padded_sizes(len(magnitudes), self._sizes):
                part = magnitudes[at : at + size]
                full = np.zeros((size, *magnitudes.shape[1:]), np.float32)
                full[: len(part)] = part
                done.append(self._runner(full, wanted)(full)[: len(part)])
                at += size
        return np.concatenate(done)

    def _runner(self, magnitudes: Array, wanted: range) -> Runner:
        size, frames, bins, _ = magnitudes.shape
        key = (size, frames, bins, wanted)
        if key not in self._runners:
            self._runners[key] = self._captured(magnitudes, wanted) if self._graphs else self._eager(wanted)
        return self._runners[key]

    def _eager(self, wanted: range) -> Runner:
        import torch

        def run(magnitudes: Array) -> Array:
            with torch.inference_mode(), _exact():
                found: Array = self._forward(torch.from_numpy(magnitudes).to(self._device), wanted).cpu().numpy()
                return found

        return run

    def _captured(self, magnitudes: Array, wanted: range) -> Runner:
        from audio_pipeline.models.separation.torch_graph import Captured

        with _exact():
            return Captured(lambda x: self._forward(x, wanted), magnitudes.shape, self._device)

    def _forward(self, magnitudes: Tensor, wanted: range) -> Tensor:
        """As `masks`, on the device; the ratio of the stems is always computed in fp32."""
        import torch

        x = magnitudes.permute(0, 3, 1, 2)  # channels last in memory, as it came
        raw = torch.stack([self._unet(stem, x.to(self._dtype), wanted) for stem in self._variant.stems], 1).float()
        heads = torch.softmax(raw, 1) if self._variant.softmax else torch.sigmoid(raw)
        squares = (heads * x[:, None, :, wanted.start : wanted.stop]) ** 2  # (batch, stems, ch, wanted, bins)
        total = squares.sum(1, keepdim=True) + MASK_EPSILON
        masks = (squares + MASK_EPSILON / len(self._variant.stems)) / total
        return masks.permute(0, 1, 3, 4, 2).contiguous()

    def _unet(self, stem: str, x: Tensor, wanted: range) -> Tensor:
        """The head's raw output (batch, channels, wanted, bins)."""
        frames = x.shape[2]
        return self._decode(stem, self._encode(stem, x), frames, wanted)

    def _encode(self, stem: str, x: Tensor) -> list[Tensor]:
        from torch.nn import functional as F

        w, raw = self._weights, list["Tensor"]()
        for k in range(1, LEVELS + 1):  # TensorFlow's 'same' pads 1 before and 2 after
            layer = f"{stem}.enc{k}"
            raw.append(F.conv2d(F.pad(x, (1, 2, 1, 2)), w[f"{layer}.kernel"], w[f"{layer}.bias"], stride=2))
            if k < LEVELS:
                x = self._norm(raw[-1], layer)
                x = F.elu(x) if self._variant.elu else F.leaky_relu(x, LEAK)
        return raw

    def _decode(self, stem: str, raw: list[Tensor], frames: int, wanted: range) -> Tensor:
        """Only what the wanted frames depend on."""
        import torch
        from torch.nn import functional as F

        w, x = self._weights, raw.pop()
        have = range(frames >> LEVELS)
        for k, out in enumerate(decoder_ranges(wanted, frames), 1):
            layer = f"{stem}.dec{k}"
            x = F.conv_transpose2d(x, w[f"{layer}.kernel"], w[f"{layer}.bias"], stride=2)[:, :, 1:-2, 1:-2]
            x = x[:, :, out.start - 2 * have.start : out.stop - 2 * have.start]
            x = self._norm(F.elu(x) if self._variant.elu else F.relu(x), layer)
            if raw:
                x = torch.cat([raw.pop()[:, :, out.start : out.stop], x], 1)
            have = out
        before = HEAD_REACH - (wanted.start - have.start)
        after = HEAD_REACH - (have.stop - wanted.stop)
        x = F.pad(x, (HEAD_REACH, HEAD_REACH, before, after))
        return F.conv2d(x, w[f"{stem}.head.kernel"], w[f"{stem}.head.bias"], dilation=2)

    def _norm(self, x: Tensor, layer: str) -> Tensor:
        scale, shift = (self._weights[f"{layer}.{part}"][:, None, None] for part in ("scale", "shift"))
        return x * scale + shift


def _exact() -> AbstractContextManager[None]:
    """TF32 keeps 10 bits of a product, and a GPU's quickest kernels differ from run to run."""
    import torch

    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags
