"""From phonemes stretched over time, pitch and energy to sound, in the timbre of the first half of the style.

StyleTTS 2's decoder with the iSTFTNet vocoder (Kaneko et al., ICASSP 2022) and the harmonic source of the neural
source-filter model (Wang, Takaki, Yamagishi; ICASSP 2019). The released ONNX graph has the source's noise and random
phases taken out, so it speaks the same twice; so does this.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audio_pipeline.models.speech.kokoro_torch_layers import AdaIN, StyledBlock

RATE = 24_000
HARMONICS, AMPLITUDE, VOICED_HZ = 9, 0.1, 10.0
UPSAMPLING, KERNELS, DILATIONS = (10, 6), (3, 7, 11), (1, 3, 5)
N_FFT, HOP = 20, 5
BINS = N_FFT // 2 + 1
PITCH_HOP = UPSAMPLING[0] * UPSAMPLING[1] * HOP  # samples a value of the pitch stands for, 12.5 ms
FRAME = 2 * PITCH_HOP  # samples a frame of the text stands for
WIDTH = 512
GAIN = 1.5  # the released graph leaves out the division by the sum of its squared windows


class SnakeBlock(nn.Module):
    """Three pairs of convolutions with AdaIN and Snake (Ziyin, Hartwig, Ueda; NeurIPS 2020) before each."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(
            [nn.Conv1d(channels, channels, kernel, dilation=d, padding=d * (kernel - 1) // 2) for d in DILATIONS]
        )
        self.convs2 = nn.ModuleList([nn.Conv1d(channels, channels, kernel, padding=kernel // 2) for _ in DILATIONS])
        self.adain1, self.adain2 = (nn.ModuleList([AdaIN(channels) for _ in DILATIONS]) for _ in range(2))
        self.alpha1, self.alpha2 = (
            nn.ParameterList([nn.Parameter(torch.ones(1, channels, 1)) for _ in DILATIONS]) for _ in range(2)
        )

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        firsts = zip(self.adain1, self.alpha1, self.convs1, strict=True)
        seconds = zip(self.adain2, self.alpha2, self.convs2, strict=True)
        for pair in zip(firsts, seconds, strict=True):
            y = x
            for norm, alpha, conv in pair:
                y = norm(y, style)
                y = conv(y + torch.sin(alpha * y).square() / alpha)
            x = x + y
        return x


class Source(nn.Module):
    """Nine harmonics of the pitch (batch, n), mixed to one excitation (batch, n * 300); unvoiced is a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.l_linear = nn.Linear(HARMONICS, 1)

    def forward(self, pitch: Tensor) -> Tensor:
        orders = torch.arange(1, HARMONICS + 1, device=pitch.device, dtype=torch.float64)
        turns = (pitch.double()[:, None] * orders[:, None] / RATE) % 1
        phase = F.interpolate(turns.cumsum(dim=2) * PITCH_HOP, scale_factor=PITCH_HOP, mode="linear")
        voiced = (pitch > VOICED_HZ).repeat_interleave(PITCH_HOP, dim=1)
        waves = AMPLITUDE * torch.sin(2 * math.pi * (phase % 1)).float() * voiced[:, None]
        mixed: Tensor = self.l_linear(waves.mT)[..., 0]
        return mixed.tanh()


class Generator(nn.Module):
    """The vocoder: x (batch, 512, n) at 80 frames a second to sound (batch, n * 300)."""

    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        widths = [WIDTH >> i for i in range(len(UPSAMPLING) + 1)]
        self.m_source = Source()
        self.ups = nn.ModuleList(
            [
                nn.ConvTranspose1d(i, o, 2 * u, u, padding=u // 2)
                for i, o, u in zip(widths, widths[1:], UPSAMPLING, strict=False)
            ]
        )
        self.resblocks = nn.ModuleList([SnakeBlock(width, kernel) for width in widths[1:] for kernel in KERNELS])
        step = UPSAMPLING[1]
        self.noise_convs = nn.ModuleList(
            [nn.Conv1d(2 * BINS, widths[1], 2 * step, step, padding=step // 2), nn.Conv1d(2 * BINS, widths[2], 1)]
        )
        self.noise_res = nn.ModuleList([SnakeBlock(widths[1], 7), SnakeBlock(widths[2], 11)])
        self.conv_post = nn.Conv1d(widths[-1], 2 * BINS, 7, padding=3)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)

    def excitation(self, pitch: Tensor) -> list[Tensor]:
        """The source's spectrum (magnitude and phase) as each stage takes it in; no style in it."""
        spectrum = torch.stft(self.m_source(pitch), N_FFT, HOP, window=self.window, return_complex=True)
        parts = torch.cat([spectrum.abs(), spectrum.angle()], dim=1)
        return [conv(parts) for conv in self.noise_convs]

    def forward(self, x: Tensor, style: Tensor, excitation: list[Tensor]) -> Tensor:
        for stage, source in enumerate(excitation):
            x = self.ups[stage](F.leaky_relu(x, 0.1))
            if stage == len(UPSAMPLING) - 1:
                x = F.pad(x, (1, 0), mode="reflect")
            x = x + self.noise_res[stage](source, style)
            blocks = self.resblocks[stage * len(KERNELS) :][: len(KERNELS)]
            x = torch.stack([block(x, style) for block in blocks]).mean(dim=0)
        x = self.conv_post(F.leaky_relu(x)).float()
        spectrum = torch.polar(x[:, :BINS].exp(), x[:, BINS:].sin())
        return GAIN * torch.istft(spectrum, N_FFT, HOP, window=self.window)


class Decoder(nn.Module):
    """Text (batch, 512, n), pitch and energy (batch, 2 n) to sound (batch, n * 600)."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = StyledBlock(WIDTH + 2, 1024)
        inside = 1024 + 2 + 64
        self.decode = nn.ModuleList(
            [*(StyledBlock(inside, 1024) for _ in range(3)), StyledBlock(inside, WIDTH, doubles=True)]
        )
        self.F0_conv, self.N_conv = (nn.Conv1d(1, 1, 3, 2, padding=1) for _ in range(2))
        self.asr_res = nn.Sequential(nn.Conv1d(WIDTH, 64, 1))
        self.generator = Generator()

    def forward(self, text: Tensor, pitch: Tensor, energy: Tensor, style: Tensor) -> Tensor:
        with torch.no_grad():
            excitation = self.generator.excitation(pitch)
        curves = torch.cat([self.F0_conv(pitch[:, None]), self.N_conv(energy[:, None])], dim=1)
        x = self.encode(torch.cat([text, curves], dim=1), style)
        beside = torch.cat([self.asr_res(text), curves], dim=1)
        for block in self.decode:
            x = block(torch.cat([x, beside], dim=1), style)
        sound: Tensor = self.generator(x, style, excitation)
        return sound
