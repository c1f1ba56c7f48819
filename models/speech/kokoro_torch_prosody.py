"""When and at what pitch Kokoro says each phoneme, by the second half of the style."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audio_pipeline.models.speech.kokoro_torch_layers import STYLE, AdaLayerNorm, StyledBlock

CHANNELS, LONGEST = 512, 50  # frames of the longest phoneme
PROFILE = ((CHANNELS, CHANNELS, False), (CHANNELS, CHANNELS // 2, True), (CHANNELS // 2, CHANNELS // 2, False))


@dataclass(frozen=True, eq=False)
class Prosody:
    """Of one text in one style."""

    durations: Tensor  # (n,) whole frames of 25 ms
    pitch: Tensor  # (1, 2 * frames) Hz, 0 where unvoiced
    energy: Tensor  # (1, 2 * frames)


def _lstm() -> nn.LSTM:
    return nn.LSTM(CHANNELS + STYLE, CHANNELS // 2, batch_first=True, bidirectional=True)


class DurationEncoder(nn.Module):
    """Three times an LSTM and a norm by the style, which is also put beside every phoneme."""

    def __init__(self) -> None:
        super().__init__()
        self.lstms = nn.ModuleList([layer for _ in range(3) for layer in (_lstm(), AdaLayerNorm(CHANNELS))])

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        beside = style[:, None].expand(-1, x.shape[1], -1)
        for recurrent, norm in zip(self.lstms[::2], self.lstms[1::2], strict=True):
            x = norm(recurrent(torch.cat([x, beside], dim=2))[0], style)
        return torch.cat([x, beside], dim=2)


class Predictor(nn.Module):
    """Durations from all phonemes, then pitch and energy every 12.5 ms."""

    def __init__(self) -> None:
        super().__init__()
        self.text_encoder = DurationEncoder()
        self.lstm, self.shared = _lstm(), _lstm()
        self.duration_proj = nn.Linear(CHANNELS, LONGEST)
        self.F0, self.N = (nn.ModuleList([StyledBlock(i, o, doubles=d) for i, o, d in PROFILE]) for _ in range(2))
        self.F0_proj, self.N_proj = (nn.Conv1d(CHANNELS // 2, 1, 1) for _ in range(2))

    def encoded(self, text: Tensor, style: Tensor) -> Tensor:
        """(1, n, 640) for PL-BERT's view (1, n, 512) of a text and a style (1, 128)."""
        x: Tensor = self.text_encoder(text, style)
        return x

    def lengths(self, encoded: Tensor) -> Tensor:
        """Frames (n,) of each phoneme, not rounded."""
        logits: Tensor = self.duration_proj(self.lstm(encoded)[0])
        return logits.sigmoid().sum(dim=2)[0]

    def curves(self, encoded: Tensor, durations: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        """Pitch and energy, each (1, 2 * frames)."""
        shared = self.shared(encoded.repeat_interleave(durations, dim=1))[0].mT
        pitch = energy = shared
        for block in self.F0:
            pitch = block(pitch, style)
        for block in self.N:
            energy = block(energy, style)
        return self.F0_proj(pitch)[:, 0], self.N_proj(energy)[:, 0]

    def forward(self, text: Tensor, style: Tensor, speed: float = 1.0) -> Prosody:
        encoded = self.encoded(text, style)
        durations = (self.lengths(encoded) / speed).round().clamp(min=1).long()
        return Prosody(durations, *self.curves(encoded, durations, style))
