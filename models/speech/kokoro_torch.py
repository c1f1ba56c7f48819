"""Kokoro-82M in torch, on the weights of the released int8 graph: for gradients, batches and GPUs.

The same network as `kokoro`, which speaks by ONNX Runtime and quantises what flows between its layers; here that
stays float32, so the two agree within that quantisation (docs/models/voice-fitting.md).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from audio_pipeline.errors import WeightsError
from audio_pipeline.models.speech.kokoro import MODEL, ROWS, VOCABULARY
from audio_pipeline.models.speech.kokoro_torch_decoder import N_FFT, Decoder
from audio_pipeline.models.speech.kokoro_torch_layers import STYLE
from audio_pipeline.models.speech.kokoro_torch_prosody import Predictor, Prosody
from audio_pipeline.models.speech.kokoro_torch_text import CHANNELS, HIDDEN, Albert, TextEncoder
from audio_pipeline.models.speech.kokoro_weights import read_weights

Array = np.ndarray[Any, np.dtype[np.float32]]

ALBERT = "bert.encoder.albert_layer_groups.0.albert_layers.0."
RENAMED = {ALBERT: "bert.layer.", "bert.encoder.embedding_hidden_mapping_in.": "bert.widen.", ".linear_layer.": "."}


@dataclass(frozen=True, eq=False)
class Text:
    """A text as the network sees it, whatever the voice."""

    view: Tensor  # (1, n, 512) by PL-BERT, for the prosody
    sounds: Tensor  # (1, 512, n), for the decoder


class Network(nn.Module):
    """All parts under the names of the original checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.bert, self.bert_encoder = Albert(), nn.Linear(HIDDEN, CHANNELS)
        self.text_encoder, self.predictor, self.decoder = TextEncoder(), Predictor(), Decoder()


class KokoroTorch:
    """Text, prosody and sound one by one, so that a search computes only what its step changes."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self._vocabulary: dict[str, int] = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))["vocab"]
        with torch.device("meta"):
            self.network = Network()
        self.network.load_state_dict(_state(folder / MODEL, self.network), assign=True)
        self.network.decoder.generator.window = torch.hann_window(N_FFT)  # buffers stay behind on the meta device
        self.network.requires_grad_(False).eval().to(self.device)

    @torch.no_grad()
    def text(self, phonemes: str) -> Text:
        """At most 510 phonemes; signs it does not know are left out."""
        known = [self._vocabulary[sign] for sign in phonemes if sign in self._vocabulary][:ROWS]
        tokens = torch.tensor([[0, *known, 0]], device=self.device)
        return Text(self.network.bert_encoder(self.network.bert(tokens)), self.network.text_encoder(tokens))

    def prosody(self, text: Text, style: Tensor, speed: float = 1.0) -> Prosody:
        """When and at what pitch, by the second half (1, 128) of a style."""
        found: Prosody = self.network.predictor(text.view, style, speed)
        return found

    def decode(self, sounds: Tensor, pitch: Tensor, energy: Tensor, style: Tensor) -> Tensor:
        """Sound (batch, frames * 600) of text stretched over frames (batch, 512, frames), by a first half."""
        sound: Tensor = self.network.decoder(sounds, pitch, energy, style)
        return sound

    @torch.no_grad()
    def synthesise(self, phonemes: str, style: Array, speed: float = 1.0) -> Array:
        """Mono speech (samples,) at 24 kHz in one style (256,), as `Kokoro.synthesise`."""
        whole = torch.tensor(style, dtype=torch.float32, device=self.device)[None]
        timbre, manner = whole[:, :STYLE], whole[:, STYLE:]
        text = self.text(phonemes)
        prosody = self.prosody(text, manner, speed)
        sounds = text.sounds.repeat_interleave(prosody.durations, dim=2)
        return np.asarray(self.decode(sounds, prosody.pitch, prosody.energy, timbre)[0].cpu().numpy(), np.float32)


def _state(path: Path, network: nn.Module) -> dict[str, Tensor]:
    """The file's tensors under the network's names. Raises WeightsError where one is missing or has another size."""
    raw = {_renamed(name): value for name, value in read_weights(path).items()}
    found = {}
    for name, wanted in network.state_dict().items():
        value = raw.get(name)
        if value is None or value.shape != tuple(wanted.shape):
            what = "missing" if value is None else f"of shape {value.shape}"
            raise WeightsError(f"Kokoro: tensor {name} is {what}, expected {tuple(wanted.shape)}")
        found[name] = torch.from_numpy(np.array(value, np.float32, order="C"))
    return found


def _renamed(name: str) -> str:
    for old, new in RENAMED.items():
        name = name.replace(old, new)
    return name
