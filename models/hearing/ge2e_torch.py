"""The GE2E speaker encoder in torch, from sound at 24 kHz, so that a search can follow its gradient."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from audio_pipeline.models.hearing.ge2e import LAYERS, MEL, OWNER, PARTIAL, RATE, SIZE, shapes
from audio_pipeline.models.weights.tensors import check_tensors, read_tensors

SOUND_RATE = 24_000
# The window of 25 ms and the hop of 10 ms hold whole samples at both rates and give the same 40 Hz bins, so the
# lowest 201 bins at 24 kHz are those at 16 kHz: no resampling is needed before the mel bands, which end at 8 kHz.
FRAME, HOP = MEL.frame * SOUND_RATE // RATE, MEL.hop * SOUND_RATE // RATE
BINS = MEL.frame // 2 + 1
PARTIAL_SAMPLES = PARTIAL * HOP


class SpeakerEncoderTorch(nn.Module):
    """The same weights as `ge2e.SpeakerEncoder`; equal to it within 0.001 in cosine on speech."""

    window: Tensor
    filters: Tensor

    def __init__(self, path: Path) -> None:
        super().__init__()
        arrays = read_tensors(path)
        check_tensors(OWNER, shapes(), arrays)
        self.lstm = nn.LSTM(MEL.bands, SIZE, LAYERS, batch_first=True)
        self.linear = nn.Linear(SIZE, SIZE)
        self.load_state_dict({name: torch.from_numpy(arrays[name].copy()) for name in shapes()})
        self.register_buffer("window", torch.hann_window(FRAME), persistent=False)
        self.register_buffer("filters", torch.from_numpy(MEL.filters.T.copy()), persistent=False)
        self.requires_grad_(False)

    def mel(self, sound: Tensor) -> Tensor:
        """(batch, 1 + samples // 240, 40) of sound (batch, samples) at 24 kHz, as `MEL.centred` at 16 kHz."""
        spectrum = torch.stft(sound, FRAME, HOP, window=self.window, pad_mode="constant", return_complex=True)
        power = spectrum[:, :BINS].abs().square().mT * (RATE / SOUND_RATE) ** 2
        mel: Tensor = power @ self.filters
        return mel

    def forward(self, sound: Tensor) -> Tensor:
        """Embeddings (batch, 256) of unit length of the first 1.6 s of sound (batch, samples)."""
        last = self.lstm(self.mel(sound)[:, :PARTIAL])[1][0][-1]
        return nn.functional.normalize(self.linear(last).relu(), dim=1)
