"""The shape of Spleeter's networks: stems, activations, heads and the name and size of every tensor.

One U-Net a stem (`spleeter/model/functions/unet.py`, `configs/*/base_config.json`). Tensors are named
`<stem>.<layer>.<part>`: kernels of `enc1..enc6` and `head` are (out, in, time, frequency), of `dec1..dec6`
(in, out, time, frequency); `scale` and `shift` are batch normalisation folded to `scale * x + shift`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from audio_pipeline.models.separation.catalogue import SPLEETER_2STEMS, SPLEETER_4STEMS, SPLEETER_5STEMS
from audio_pipeline.models.separation.spec import ModelSpec
from audio_pipeline.models.weights.tensors import Shapes, check_shapes

Array = np.ndarray[Any, np.dtype[np.float32]]
Weights = Mapping[str, Array]

LEVELS = 6  # frames and bins must come in multiples of 2**LEVELS
LEAK = 0.2
NORM_EPSILON = 1e-3  # Keras' default, not torch's
MASK_EPSILON = 1e-10
ENCODER = (16, 32, 64, 128, 256, 512)
DECODER = (256, 128, 64, 32, 16, 1)
CHANNELS = 2
HEAD_REACH = 3  # frames on each side that the last convolution sees
TIME = 2  # axis of (batch, channels, frames, bins)
GRID = 16  # wanted frames are rounded up to this


@dataclass(frozen=True)
class Variant:
    """One released configuration; `elu` is both activations, else leaky ReLU down and ReLU up."""

    spec: ModelSpec
    elu: bool
    softmax: bool

    @property
    def name(self) -> str:
        """As in the catalogue and the registry of weights."""
        return self.spec.name

    @property
    def stems(self) -> tuple[str, ...]:
        """In the order in which Spleeter builds its networks."""
        return self.spec.stems


_VARIANTS = (
    Variant(SPLEETER_2STEMS, elu=False, softmax=False),
    Variant(SPLEETER_4STEMS, elu=True, softmax=False),
    Variant(SPLEETER_5STEMS, elu=True, softmax=True),
)
VARIANTS: dict[str, Variant] = {variant.name: variant for variant in _VARIANTS}


def shapes(width: int = ENCODER[0]) -> dict[str, tuple[int, ...]]:
    """The tensors of one U-Net, for a first layer of `width` channels (16 in every release).

    >>> sum(int(np.prod(shape)) for shape in shapes().values())
    9822725
    """
    enc = [c * width // ENCODER[0] for c in ENCODER]
    dec = [c * width // ENCODER[0] for c in DECODER[:-1]] + [1]
    skips = [0, *reversed(enc[:-1])]  # the raw encoder output beside which level k of the decoder starts
    inputs = [CHANNELS, *enc]
    found: dict[str, tuple[int, ...]] = {}
    for k, channels in enumerate(enc, 1):
        found |= {f"enc{k}.kernel": (channels, inputs[k - 1], 5, 5), f"enc{k}.bias": (channels,)}
        if k < LEVELS:  # the last normalisation is built by Spleeter and thrown away
            found |= {f"enc{k}.scale": (channels,), f"enc{k}.shift": (channels,)}
    below = enc[-1]
    for k, channels in enumerate(dec, 1):
        found |= {
            f"dec{k}.kernel": (below + skips[k - 1], channels, 5, 5),
            f"dec{k}.bias": (channels,),
            f"dec{k}.scale": (channels,),
            f"dec{k}.shift": (channels,),
        }
        below = channels
    return found | {"head.kernel": (CHANNELS, 1, 4, 4), "head.bias": (CHANNELS,)}


def on_grid(wanted: range, frames: int) -> range:
    """The frames that are computed for the wanted ones, so that one graph serves several hops; at little cost.

    >>> on_grid(range(120, 128), 128), on_grid(range(0, 4), 128), on_grid(range(0, 8), 8)
    (range(112, 128), range(0, 16), range(0, 8))
    """
    count = min(-(-len(wanted) // GRID) * GRID, frames)
    first = max(0, wanted.stop - count)
    return range(first, first + count)


def decoder_ranges(wanted: range, frames: int) -> list[range]:
    """What each decoder level must compute for the wanted frames: its output's range, first level first.

    Output t of a transposed convolution (5 taps, stride 2, 1 cropped in front) sums inputs (t-3)/2 .. (t+1)/2.

    >>> decoder_ranges(range(120, 128), 128)[-1], decoder_ranges(range(0, 512), 512)[0]
    (range(117, 128), range(0, 16))
    """
    last = range(max(0, wanted.start - HEAD_REACH), min(frames, wanted.stop + HEAD_REACH))
    sizes = [frames >> level for level in range(1, LEVELS)]
    below = accumulate(
        sizes, lambda out, size: range(max(0, (out.start - 2) // 2), min(size, out.stop // 2 + 1)), initial=last
    )
    return list(below)[::-1]


def check_weights(variant: Variant, found: Shapes) -> None:
    """Raises WeightsError unless every stem has every tensor at its size, by the shapes that were found."""
    width = found.get(f"{variant.stems[0]}.enc1.bias", ENCODER[:1])[0]
    wanted = {f"{stem}.{part}": shape for stem in variant.stems for part, shape in shapes(width).items()}
    check_shapes(variant.name, wanted, found)
