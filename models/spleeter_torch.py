"""Spleeter's U-Nets in torch, for a GPU; torch is imported only when a network is made."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from typing import TYPE_CHECKING

import numpy as np

from audio_pipeline.models.spleeter_layout import LEAK, LEVELS, MASK_EPSILON, Array, Variant, Weights

if TYPE_CHECKING:
    from torch import Tensor


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


class TorchUnets:
    """All U-Nets of a variant on one torch device."""

    def __init__(self, variant: Variant, weights: Weights, device: str) -> None:
        import torch

        self._variant, self._device = variant, device
        self._weights = {name: torch.from_numpy(np.array(array)).to(device) for name, array in weights.items()}

    def masks(self, magnitudes: Array, wanted: range) -> Array:
        """Masks (batch, stems, wanted, bins, channels) for magnitudes (batch, frames, bins, channels)."""
        import torch

        # TF32 keeps 10 bits of a product, and a GPU's quickest kernels differ from run to run.
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            x = torch.from_numpy(magnitudes.copy()).to(self._device).permute(0, 3, 1, 2)
            raw = torch.stack([self._unet(stem, x) for stem in self._variant.stems], 1)
            heads = torch.softmax(raw, 1) if self._variant.softmax else torch.sigmoid(raw)
            span = slice(wanted.start, wanted.stop)
            squares = (heads[:, :, :, span] * x[:, None, :, span]) ** 2  # (batch, stems, ch, wanted, bins)
            total = squares.sum(1, keepdim=True) + MASK_EPSILON
            masks = (squares + MASK_EPSILON / len(self._variant.stems)) / total
            found: Array = masks.permute(0, 1, 3, 4, 2).cpu().numpy()
            return found

    def _unet(self, stem: str, x: Tensor) -> Tensor:
        """The head's raw output (batch, channels, frames, bins)."""
        import torch
        from torch.nn import functional as F

        w, elu = self._weights, self._variant.elu
        raw: list[Tensor] = []
        for k in range(1, LEVELS + 1):  # TensorFlow's 'same' pads 1 before and 2 after
            layer = f"{stem}.enc{k}"
            raw.append(F.conv2d(F.pad(x, (1, 2, 1, 2)), w[f"{layer}.kernel"], w[f"{layer}.bias"], stride=2))
            if k < LEVELS:
                x = self._norm(raw[-1], layer)
                x = F.elu(x) if elu else F.leaky_relu(x, LEAK)
        x = raw.pop()
        for k in range(1, LEVELS + 1):
            layer = f"{stem}.dec{k}"
            x = F.conv_transpose2d(x, w[f"{layer}.kernel"], w[f"{layer}.bias"], stride=2)[:, :, 1:-2, 1:-2]
            x = self._norm(F.elu(x) if elu else F.relu(x), layer)
            if raw:
                x = torch.cat([raw.pop(), x], 1)
        return F.conv2d(x, w[f"{stem}.head.kernel"], w[f"{stem}.head.bias"], padding=3, dilation=2)

    def _norm(self, x: Tensor, layer: str) -> Tensor:
        return x * self._weights[f"{layer}.scale"][:, None, None] + self._weights[f"{layer}.shift"][:, None, None]
