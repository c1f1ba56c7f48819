"""OpenVoice v2 and FreeVC-24 as converters of live speech, from folders of their released weights.

OpenVoice (Qin et al., arXiv 2312.01479) takes the tone colour of the speaker out of a spectrogram by a flow and puts
another one in; pitch, pace and accent stay. FreeVC (Li, Tu, Xiao, ICASSP 2023, arXiv 2210.15418) makes speech anew
from what was said (WavLM features) and the voice it should have. Neither streams; `blocks` calls them a window
at a time. The networks are those of coqui-tts, its loaders are not used: they download, and they trust what they read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from audio_pipeline.dsp.resample import resampled
from audio_pipeline.errors import ConfigError, WeightsError, nearest
from audio_pipeline.models.speech.coqui import (
    chosen_device,
    fill,
    import_coqui,
    read_checkpoint,
    read_config,
    weights_folder,
)

Array = NDArray[np.float32]

LEAST_REFERENCE_S, REFERENCE_S = 1.0, 30.0
SOURCE_S, REVIEW_S = 10.0, 1.0  # of the source's speech that its tone colour is taken from, and how often anew
SPEECH = 10 ** (-45 / 20)  # RMS from which a window counts as such
TAU = 0.3  # how much of its noise OpenVoice puts in; the value of its authors
CONFIG = "config.json"
OPENVOICE = ("checkpoint.pth", CONFIG)
FREEVC = ("model.pth", CONFIG, "WavLM-Large.pt")
SPEAKER_ENCODER = "speaker_encoder.pt"  # where FreeVC's config says use_spk
AUDIO_KEYS = {  # of OpenVoice's own config to coqui's
    "sampling_rate": ("input_sample_rate", "output_sample_rate"),
    "filter_length": ("fft_size",),
    "hop_length": ("hop_length",),
    "win_length": ("win_length",),
}
LAYERS = re.compile(r"[\[\]()\d\s,*+]{1,200}")  # WavLM's layers are a Python expression that its code evaluates
WAVLM_RATE = 16_000


def open_converter(
    engine: str, reference: Array, rate: int, *, device: str = "auto", threads: int = 0
) -> OpenVoiceConverter | FreeVCConverter:
    """`openvoice` or `freevc`, aimed at the voice in (samples,) at `rate` Hz. Raises ConfigError, WeightsError."""
    kinds: dict[str, tuple[type[OpenVoiceConverter | FreeVCConverter], tuple[str, ...]]] = {
        "openvoice": (OpenVoiceConverter, OPENVOICE),
        "freevc": (FreeVCConverter, FREEVC),
    }
    if engine not in kinds:
        raise ConfigError(f"engine: unknown {engine!r}{nearest(engine, kinds)}; neural ones are {', '.join(kinds)}")
    kind, files = kinds[engine]
    folder = weights_folder(engine, files, "MIT licence; see docs/models/openvoice.md")
    if threads:
        torch.set_num_threads(threads)
    converter = kind(folder, device=device)
    converter.aim(reference, rate)
    return converter


class OpenVoiceConverter:
    """Speech at 22 050 Hz into another tone colour. The source's own is learnt from its first ten seconds of speech."""

    def __init__(self, folder: Path, *, device: str = "auto", tau: float = TAU) -> None:
        import_coqui()
        self._model = _openvoice(folder).to(chosen_device(device)).eval()
        self._model.tau = tau
        self._audio = self._model.config.audio
        self._target: torch.Tensor | None = None
        self.reset()

    @property
    def rate(self) -> int:
        """Hz."""
        return int(self._audio.input_sample_rate)

    def aim(self, reference: Array, rate: int) -> None:
        """Convert to the voice in (samples,) at `rate` Hz from now on. Raises ConfigError."""
        self._target = self._colour_and_spectrum(_checked(reference, rate, self.rate))[0]

    def reset(self) -> None:
        """The next window is of another stream."""
        self._learnt: list[Array] = []
        self._until, self._learnt_s, self._judged_s = 0, 0.0, 0.0
        self._source: torch.Tensor | None = None

    def convert(self, x: Array, start: int) -> Array:
        """(samples,) of the target's voice for (samples,), at the same places; `start` is that of x[0]."""
        if self._target is None:
            raise ConfigError("OpenVoice has no voice to convert to: aim it first")
        hop = self._audio.hop_length
        padded = np.pad(x, (0, -len(x) % hop + (self._audio.fft_size if len(x) < self._audio.fft_size else 0)))
        own, spectrum = self._colour_and_spectrum(padded)
        self._learn(x, start)
        aim = {"g_src": own if self._source is None else self._source, "g_tgt": self._target}
        torch.manual_seed(abs(start))  # the same window is the same sound
        y: Array = self._model.inference(spectrum, aim)["model_outputs"][0, 0].float().cpu().numpy()
        return y[: len(x)]

    @torch.inference_mode()
    def _colour_and_spectrum(self, x: Array) -> tuple[torch.Tensor, torch.Tensor]:
        """Tone colour (1, 256, 1) and spectrum (1, bins, frames)."""
        found: tuple[torch.Tensor, torch.Tensor] = self._model.extract_se(torch.from_numpy(np.ascontiguousarray(x)))
        return found

    def _learn(self, x: Array, start: int) -> None:
        """Learns the source's tone colour from what of this window is new."""
        fresh = x[max(self._until - start, 0) :]
        self._until = max(self._until, start + len(x))
        if self._learnt_s >= SOURCE_S or not len(fresh) or float(np.sqrt(np.mean(np.square(fresh)))) < SPEECH:
            return
        self._learnt.append(fresh)
        self._learnt_s += len(fresh) / self.rate
        if self._learnt_s - self._judged_s >= REVIEW_S:
            self._judged_s = self._learnt_s
            self._source = self._colour_and_spectrum(np.concatenate(self._learnt))[0]


class FreeVCConverter:
    """Speech at 24 kHz said anew in another voice."""

    def __init__(self, folder: Path, *, device: str = "auto") -> None:
        import_coqui()
        self._model = _freevc(folder).to(chosen_device(device)).eval()
        self._target: torch.Tensor | None = None

    @property
    def rate(self) -> int:
        """Hz of what comes out, and so of what goes in."""
        return int(self._model.config.audio.output_sample_rate)

    def aim(self, reference: Array, rate: int) -> None:
        """Convert to the voice in (samples,) at `rate` Hz from now on. Raises ConfigError."""
        x = torch.from_numpy(_checked(reference, rate, WAVLM_RATE))
        with torch.inference_mode():
            self._target = self._model.clone_voice([x])["speaker_embedding"].to(self._model.device)

    def reset(self) -> None:
        """Nothing is kept from window to window."""

    def convert(self, x: Array, start: int) -> Array:
        """(samples,) of the target's voice for (samples,), at the same places; `start` is that of x[0]."""
        if self._target is None:
            raise ConfigError("FreeVC has no voice to convert to: aim it first")
        source = resampled(x[:, None], self.rate, WAVLM_RATE)[:, 0]
        hop = self._model.config.audio.hop_length
        source = np.pad(source, (0, -len(source) % hop + hop))  # WavLM's last frame needs a little more than a hop
        torch.manual_seed(abs(start))  # the same window is the same sound
        with torch.inference_mode():
            features = self._model.extract_wavlm_features(torch.from_numpy(source)[None].to(self._model.device))
            y: Array = self._model.inference(features, g=self._target)[0, 0].float().cpu().numpy()
        return np.pad(y, (0, max(0, len(x) - len(y))))[: len(x)]


def _checked(reference: Array, rate: int, wanted: int) -> Array:
    """The reference at the rate that is wanted, at most 30 s of it. Raises ConfigError."""
    if len(reference) < LEAST_REFERENCE_S * rate:
        seconds = len(reference) / rate
        raise ConfigError(f"a reference of {seconds:.2f} s is too short, expected {LEAST_REFERENCE_S:g} s of speech")
    cut = np.asarray(reference[: round(REFERENCE_S * rate)], np.float32)
    return np.ascontiguousarray(resampled(cut[:, None], rate, wanted)[:, 0])


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_config(path))
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise WeightsError(f"{path} holds a {type(found).__name__}, expected a map")
    return found


def _openvoice(folder: Path) -> Any:
    """Coqui's network with the released weights. Raises WeightsError."""
    from TTS.vc.configs.openvoice_config import OpenVoiceConfig
    from TTS.vc.models.openvoice import OpenVoice

    document, config = _json(folder / CONFIG), OpenVoiceConfig()
    audio = {own: value for key, value in _section(document, "data").items() for own in AUDIO_KEYS.get(key, ())}
    network = _built(OpenVoice, config, folder, audio, _section(document, "model"))
    fill(str(folder / OPENVOICE[0]), network, read_checkpoint(folder / OPENVOICE[0]).get("model", {}))
    return network


def _section(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name, {})
    return found if isinstance(found, dict) else {}


def _built(kind: Any, config: Any, folder: Path, audio: Mapping[str, Any], args: Mapping[str, Any]) -> Any:
    """The network of a config with these values, as far as it knows them. Raises WeightsError."""
    try:
        for part, values in ((config.audio, audio), (config.model_args, args)):
            for key in set(part) & set(values):
                setattr(part, key, values[key])
        return kind(config)
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(f"{folder / CONFIG} does not describe such a network: {error}") from error


def _freevc(folder: Path) -> Any:
    """Coqui's network with the released weights, and WavLM from beside them. Raises WeightsError."""
    from TTS.vc.configs.freevc_config import FreeVCConfig
    from TTS.vc.layers.freevc.speaker_encoder.speaker_encoder import SpeakerEncoder
    from TTS.vc.models import freevc

    class Local(freevc.FreeVC):  # type: ignore[misc, unused-ignore]
        def load_pretrained_speaker_encoder(self) -> None:
            file = folder / SPEAKER_ENCODER
            if not file.is_file():
                raise WeightsError(f"{folder / CONFIG} sets use_spk, which needs {file}")
            self.enc_spk_ex = SpeakerEncoder(str(file))

    document = _json(folder / CONFIG)
    fetching, freevc.get_wavlm = freevc.get_wavlm, lambda device="cpu": _wavlm(folder / FREEVC[2])  # its own downloads
    try:
        network = _built(Local, FreeVCConfig(), folder, _section(document, "audio"), _section(document, "model_args"))
    finally:
        freevc.get_wavlm = fetching
    tensors = read_checkpoint(folder / FREEVC[0]).get("model", {})
    fill(str(folder / FREEVC[0]), network, tensors, elsewhere=("wavlm.", "enc_spk_ex."))
    return network


def _wavlm(path: Path) -> Any:
    """WavLM from its released checkpoint. Raises WeightsError."""
    from TTS.vc.layers.freevc.wavlm.wavlm import WavLM, WavLMConfig

    saved = read_checkpoint(path)
    config = _section(saved, "cfg")
    layers = config.get("conv_feature_layers", "[]")
    if not isinstance(layers, str) or not LAYERS.fullmatch(layers):
        raise WeightsError(f"{path}: conv_feature_layers is {layers!r:.80}, expected a list of numbers")
    network = WavLM(WavLMConfig(config))
    fill(str(path), network, saved.get("model", {}))
    return network.eval()
