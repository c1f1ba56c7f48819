"""A network of convolutions that is fed in portions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from audio_pipeline.models.speech.xtts_vocoder import StreamVocoder, reach  # noqa: E402

CHANNELS, HOP = 6, 4


class Small(torch.nn.Module):
    """A HiFi-GAN of two stages in double precision, with the attribute names of coqui-tts."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        conv, up = torch.nn.Conv1d, torch.nn.ConvTranspose1d
        self.num_kernels = 2
        self.conv_pre, self.conv_post = conv(CHANNELS, 4, 7, padding=3), conv(4, 1, 7, padding=3)
        self.ups = torch.nn.ModuleList(up(4, 4, 4, 2, padding=1) for _ in range(2))
        self.resblocks = torch.nn.ModuleList(self.block(kernel) for _ in range(2) for kernel in (3, 5))
        self.double()

    @staticmethod
    def block(kernel: int) -> torch.nn.Module:
        convs = {
            "convs1": [torch.nn.Conv1d(4, 4, kernel, padding=d * (kernel - 1) // 2, dilation=d) for d in (1, 3)],
            "convs2": [torch.nn.Conv1d(4, 4, kernel, padding=(kernel - 1) // 2) for _ in range(2)],
        }
        return torch.nn.ModuleDict({name: torch.nn.ModuleList(layers) for name, layers in convs.items()})

    def forward(self, x: Any) -> Any:
        x = self.conv_pre(x)
        for i, up in enumerate(self.ups):
            x = up(torch.nn.functional.leaky_relu(x))
            x = sum(self.through(block, x) for block in self.resblocks[i * 2 : i * 2 + 2])
        return torch.tanh(self.conv_post(x))

    @staticmethod
    def through(block: Any, x: Any) -> Any:
        for first, second in zip(block["convs1"], block["convs2"], strict=True):
            x = x + second(torch.tanh(first(x)))
        return x


class Attributes:
    """ModuleDict keys as attributes, which is how coqui's blocks have them."""

    def __init__(self, network: Small) -> None:
        self.__dict__.update(
            conv_pre=network.conv_pre,
            conv_post=network.conv_post,
            ups=network.ups,
            num_kernels=2,
            resblocks=[SimpleNamespace(convs1=b["convs1"], convs2=b["convs2"]) for b in network.resblocks],
        )


NETWORK = Small()
REACH = reach(Attributes(NETWORK))


def stretch(latents: Any) -> Any:
    return torch.nn.functional.interpolate(latents.transpose(1, 2), scale_factor=160 / 147, mode="linear")


@torch.no_grad()
def streamed(x: Any, size: int, reach: int = REACH) -> np.ndarray:
    vocoder = StreamVocoder(stretch, NETWORK, hop=HOP, reach=reach, edge=3)
    parts = [vocoder.push(x[at : at + size]) for at in range(0, len(x), size)] if len(x) else []
    return np.concatenate([*parts, vocoder.finish()])


@torch.no_grad()
def at_once(x: Any) -> np.ndarray:
    return NETWORK(stretch(x[None]))[0, 0].float().numpy() if len(x) else np.zeros(0, np.float32)


def latents(n: int) -> Any:
    return torch.randn(n, CHANNELS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("length", "size"),
    [
        pytest.param(length, size, marks=[pytest.mark.long] if (length, size) == (200, 1) else [])
        for length in (0, 1, 5, 40, 200)
        for size in (1, 17, 480, 1_024)
    ],
)
def test_streamed_is_one_shot(length: int, size: int) -> None:
    x = latents(length)
    assert streamed(x, size) == pytest.approx(at_once(x), abs=1e-6)  # float32 at the end


def test_reach_is_not_smaller_than_what_a_frame_changes() -> None:
    """One frame is changed; what differs in the sound lies within the reach, and nearly fills it."""
    x = torch.zeros(1, CHANNELS, 200, dtype=torch.float64)
    y = x.clone()
    y[:, :, 100] = 1
    with torch.no_grad():
        changed = np.flatnonzero((NETWORK(x) - NETWORK(y))[0, 0].numpy())
    frames = max(100 - changed[0] / HOP, changed[-1] / HOP - 100)
    assert REACH - 3 <= frames <= REACH + 1


def test_a_shorter_reach_would_be_heard() -> None:
    """That the test above can fail: with a fifth of the context the seams differ."""
    x = latents(200)
    assert np.abs(streamed(x, 17, REACH // 5) - at_once(x)).max() > 1e-4


def test_every_sample_is_made_once() -> None:
    made: list[int] = []

    def counting(frames: Any) -> Any:
        made.append(frames.shape[2])
        return NETWORK(frames)

    vocoder, x = StreamVocoder(stretch, counting, hop=HOP, reach=REACH, edge=3), latents(600)
    with torch.no_grad():
        for at in range(0, 600, 60):
            vocoder.push(x[at : at + 60])
        vocoder.finish()
    assert sum(made) <= 600 * 160 / 147 + len(made) * 2 * (REACH + 1)  # linear, plus the context of each portion
