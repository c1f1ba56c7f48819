"""The speaker encoder for gradients hears what the one by ONNX Runtime hears."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from audio_pipeline.dsp.resample import resampled
from audio_pipeline.models.hearing.ge2e import FILE, MEL, PARTIAL, SpeakerEncoder
from tests.models.test_ge2e import random_weights

torch = pytest.importorskip("torch")


def sound(seconds: float = 1.7) -> np.ndarray:
    """Noise with the tilt of speech (samples,) at 24 kHz, without anything near 8 kHz, where rates differ."""
    noise = np.random.default_rng(0).standard_normal(round(24_000 * seconds))
    hz = np.fft.rfftfreq(len(noise), 1 / 24_000)
    return np.fft.irfft(np.fft.rfft(noise) / (1 + (hz / 500) ** 2) * (hz < 6_500), len(noise)).astype(np.float32)


def test_mels_at_24_khz_are_those_at_16_khz(tmp_path: Path) -> None:
    """To 1 %: what the converter's filter and the two windows' samples leave."""
    from audio_pipeline.models.hearing.ge2e_torch import SpeakerEncoderTorch

    save_file(random_weights(), tmp_path / FILE)
    x = sound()
    ours = SpeakerEncoderTorch(tmp_path / FILE).mel(torch.from_numpy(x)[None])[0].numpy()
    expected = MEL.centred(resampled(x[:, None], 24_000, 16_000)[:, 0])
    inside = slice(5, PARTIAL - 5)
    assert np.linalg.norm(ours[inside] - expected[inside]) / np.linalg.norm(expected[inside]) < 0.01


def test_embeddings_are_the_same_and_have_a_gradient(tmp_path: Path) -> None:
    from audio_pipeline.models.hearing.ge2e_torch import SpeakerEncoderTorch

    save_file(random_weights(), tmp_path / FILE)
    x = torch.from_numpy(sound())[None].requires_grad_()
    ours = SpeakerEncoderTorch(tmp_path / FILE)(x)
    mel = MEL.centred(resampled(x.detach().numpy().T, 24_000, 16_000)[:, 0])
    expected = SpeakerEncoder(tmp_path / FILE).partials(mel[None, :PARTIAL])
    assert float(expected[0] @ ours[0].detach().numpy()) > 0.999
    ours[0, 0].backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
