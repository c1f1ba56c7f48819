"""A HiFi-GAN fed as latents come: every sample is made once, with all the frames around it that can reach it.

HiFi-GAN (Kong, Kim, Bae, NeurIPS 2020, arXiv 2010.05646) is convolutions alone, so a sample depends on a bounded
stretch of frames. What lies further from the end of what is there is final: it comes out, and is not made again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Array = np.ndarray[Any, np.dtype[np.float32]]
Stretch = Callable[[torch.Tensor], torch.Tensor]


def reach(generator: Any) -> int:
    """Frames on each side of a sample's own that its value depends on, from the layers of a HiFi-GAN generator."""
    frames, rate, count = float(_half(generator.conv_pre)), 1, generator.num_kernels
    for i, up in enumerate(generator.ups):
        frames += math.ceil(up.kernel_size[0] / (2 * up.stride[0])) / rate
        rate *= up.stride[0]
        blocks = generator.resblocks[i * count : (i + 1) * count]
        frames += max(_reach_of_block(block) for block in blocks) / rate
    return math.ceil(frames + _half(generator.conv_post) / rate)


def _half(layer: Any) -> int:
    return int((layer.kernel_size[0] - 1) * layer.dilation[0] // 2)


def _reach_of_block(block: Any) -> int:
    layers = [*getattr(block, "convs1", ()), *getattr(block, "convs2", ()), *getattr(block, "convs", ())]
    return sum(_half(layer) for layer in layers)


class StreamVocoder:
    """Sound from latents (n, channels) in portions, the same as from all at once.

    `stretch` (1, n, channels) -> (1, channels, frames) brings latents to frames; its last `edge` frames may still
    change when more follow. `decode` (1, channels, frames) -> (1, 1, frames * hop) is the network, of that `reach`.
    """

    def __init__(self, stretch: Stretch, decode: Stretch, *, hop: int, reach: int, edge: int) -> None:
        self._stretch, self._decode = stretch, decode
        self._hop, self._reach, self._edge = hop, reach, edge
        self._latents: list[torch.Tensor] = []
        self._done = 0  # frames that came out

    def push(self, latents: torch.Tensor) -> Array:
        """Takes (n, channels); the samples (m,) that are final now."""
        self._latents.append(latents)
        return self._made(self._edge, self._reach)

    def finish(self) -> Array:
        """The rest."""
        return self._made(0, 0)

    def _made(self, edge: int, reach: int) -> Array:
        if not self._latents:
            return np.zeros(0, np.float32)
        frames = self._stretch(torch.cat(self._latents)[None])
        known = frames.shape[2] - edge
        until = known - reach
        if until <= self._done:
            return np.zeros(0, np.float32)
        start = max(self._done - self._reach, 0)
        sound = self._decode(frames[:, :, start:known])[0, 0]
        first, last = ((frame - start) * self._hop for frame in (self._done, until))
        self._done = until
        cut: Array = sound[first:last].float().cpu().numpy()
        return cut
