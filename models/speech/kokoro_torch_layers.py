"""The layers Kokoro's parts share: style-conditioned norms and the residual block between them (StyleTTS 2)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STYLE = 128  # numbers of one half of a style vector


class AdaIN(nn.Module):
    """Adaptive instance normalisation (Huang, Belongie; ICCV 2017) of x (batch, channels, frames)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(STYLE, 2 * channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        gain, shift = self.fc(style)[:, :, None].chunk(2, dim=1)
        styled: Tensor = torch.addcmul(shift, F.instance_norm(x), 1 + gain)
        return styled


class AdaLayerNorm(nn.Module):
    """Layer normalisation of x (batch, frames, channels), scaled and shifted by the style."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(STYLE, 2 * channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        gain, shift = self.fc(style)[:, None].chunk(2, dim=2)
        styled: Tensor = (1 + gain) * F.layer_norm(x, x.shape[-1:]) + shift
        return styled


class StyledBlock(nn.Module):
    """Two convolutions of three taps behind AdaIN, a shortcut, and twice the frames where `doubles`."""

    def __init__(self, inputs: int, outputs: int, *, doubles: bool = False) -> None:
        super().__init__()
        self.norm1, self.norm2 = AdaIN(inputs), AdaIN(outputs)
        self.conv1 = nn.Conv1d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv1d(outputs, outputs, 3, padding=1)
        self.conv1x1 = nn.Conv1d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity()
        self.pool: nn.Module = nn.Identity()
        if doubles:
            self.pool = nn.ConvTranspose1d(inputs, inputs, 3, 2, padding=1, output_padding=1, groups=inputs)
        self._doubles = doubles

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        y = self.pool(F.leaky_relu(self.norm1(x, style), 0.2))
        y = self.conv2(F.leaky_relu(self.norm2(self.conv1(y), style), 0.2))
        straight = x.repeat_interleave(2, dim=2) if self._doubles else x
        total: Tensor = (y + self.conv1x1(straight)) / math.sqrt(2)
        return total
