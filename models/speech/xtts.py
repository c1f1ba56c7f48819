"""XTTS v2 as an engine that streams: text and a few seconds of somebody's voice in, speech at 24 kHz out.

XTTS (Casanova et al., Interspeech 2024, arXiv 2406.04904): a GPT-2 writes a latent vector for every 46 ms of speech,
a HiFi-GAN makes sound of them. The networks are those of coqui-tts; the streaming around them is ours: its own makes
all sound anew at every step, ours makes each sample once (see `xtts_vocoder`), in portions that begin small and grow.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from audio_pipeline.dsp.babble import SpeechEnd
from audio_pipeline.errors import ConfigError, WeightsError
from audio_pipeline.models.speech.clauses import Policy
from audio_pipeline.models.speech.coqui import chosen_device, fill, import_coqui, read_checkpoint, read_config
from audio_pipeline.models.speech.engine import Cancelled
from audio_pipeline.models.speech.xtts_text import checked_language, most_tokens, pieces, policy
from audio_pipeline.models.speech.xtts_vocoder import StreamVocoder, reach

Array = np.ndarray[Any, np.dtype[np.float32]]

RATE, HOP = 24_000, 256
CONFIG, MODEL, VOCABULARY, SPEAKERS = "config.json", "model.pth", "vocab.json", "speakers_xtts.pth"
FIRST, GROWTH, MOST = 6, 2, 48  # latents in the first portion of sound, and how the next ones grow
EDGE = 5  # frames that the interpolation of latents may still change
SLOWER_EDGE = 16  # and where they are stretched for another speed
TRAINING = ("torch_mel_spectrogram_style_encoder", "torch_mel_spectrogram_dvae", "dvae")  # left in some checkpoints
REFERENCE_S, REFERENCE_PART_S = 30, 6  # of the reference, and what the encoder sees of it at once
LEAST_REFERENCE_S = 1.0
SAMPLING = {
    "do_sample": True,
    "temperature": 0.75,
    "top_k": 50,
    "top_p": 0.85,
    "repetition_penalty": 10.0,
    "length_penalty": 1.0,
    "num_beams": 1,
    "num_return_sequences": 1,
    "output_attentions": False,
    "output_hidden_states": True,
    "return_dict_in_generate": True,
}


@dataclass(frozen=True, eq=False)
class Latents:
    """What the networks know of a voice: (1, frames, channels) for the GPT, (1, 512, 1) for the vocoder."""

    style: torch.Tensor
    speaker: torch.Tensor


class Xtts:
    """The networks from a folder with config.json, model.pth and vocab.json."""

    def __init__(self, folder: Path, *, device: str = "auto", threads: int = 0) -> None:
        import_coqui()
        if threads:
            torch.set_num_threads(threads)
        self.folder, self._speakers = folder, folder / SPEAKERS
        self.model = _load(folder).to(chosen_device(device))
        self._reach = reach(self.model.hifigan_decoder.waveform_decoder)

    def condition(self, sound: Array, rate: int) -> Latents:
        """The voice in (samples,) of clean speech at `rate` Hz, of which at most 30 s are used. Raises ConfigError."""
        if len(sound) < LEAST_REFERENCE_S * rate:
            seconds = len(sound) / rate
            raise ConfigError(f"a reference of {seconds:.2f} s is too short, expected {LEAST_REFERENCE_S:g} s")
        x = torch.from_numpy(np.ascontiguousarray(sound[: REFERENCE_S * rate], np.float32))[None]
        style = self.model.get_gpt_cond_latents(x, rate, length=REFERENCE_S, chunk_length=REFERENCE_PART_S)
        return Latents(style.clone(), self.model.get_speaker_embedding(x, rate).clone())

    def speakers(self) -> dict[str, Latents]:
        """The voices that came with the model, by name. Raises WeightsError."""
        if not self._speakers.is_file():
            return {}
        try:
            return {
                str(name): Latents(found["gpt_cond_latent"], found["speaker_embedding"])
                for name, found in read_checkpoint(self._speakers).items()
            }
        except (KeyError, TypeError) as error:
            raise WeightsError(f"{self._speakers} is not a list of XTTS voices: {error!r}") from error

    @torch.inference_mode()
    def latents(self, text: str, language: str, voice: Latents, seed: int) -> Iterator[torch.Tensor]:
        """A latent (1, channels) for each 46 ms of the text, bounded by its length; the same for the same seed."""
        gpt, device = self.model.gpt, self.model.device
        tokens = self.model.tokenizer.encode(text.lower(), lang=language)[: self.model.args.gpt_max_text_tokens - 1]
        prefix = gpt.compute_embeddings(voice.style.to(device), torch.tensor([tokens], dtype=torch.int, device=device))
        torch.manual_seed(seed)
        steps = gpt.get_generator(fake_inputs=prefix, **SAMPLING)
        for (_, latent), _ in zip(steps, range(most_tokens(text, language)), strict=False):
            yield latent

    @torch.inference_mode()
    def frames(self, latents: torch.Tensor, speed: float) -> torch.Tensor:
        """(1, n, channels) latents to (1, channels, frames) of 256 samples at 24 kHz."""
        decoder = self.model.hifigan_decoder
        x = latents.transpose(1, 2)
        if speed != 1.0 and x.shape[2] >= speed:  # less than one would be left
            x = F.interpolate(x, scale_factor=1 / speed, mode="linear")
        x = F.interpolate(x, scale_factor=decoder.ar_mel_length_compression / decoder.output_hop_length, mode="linear")
        return F.interpolate(x, scale_factor=decoder.output_sample_rate / decoder.input_sample_rate, mode="linear")

    def vocoder(self, voice: Latents, speed: float) -> StreamVocoder:
        """Sound from the latents of one piece of text."""
        speaker = voice.speaker.to(self.model.device)
        decode = torch.inference_mode()(partial(self.model.hifigan_decoder.waveform_decoder, g=speaker))
        edge = EDGE if speed == 1.0 else SLOWER_EDGE
        return StreamVocoder(partial(self.frames, speed=speed), decode, hop=HOP, reach=self._reach, edge=edge)


class XttsVoice:
    """One voice of XTTS; `policy` says where text is best cut for it."""

    rate = RATE

    def __init__(self, model: Xtts, voice: Latents, *, language: str = "en", speed: float = 1.0, seed: int = 0) -> None:
        self._model, self._voice, self._speed, self._seed = model, voice, speed, seed
        self.language = checked_language(language)
        self.policy: Policy = policy(language)
        self._lock = threading.Lock()
        self._halt: threading.Event | None = None  # of the synthesis under way

    def synthesise(self, text: str) -> Array:
        """Mono sound (samples,) at 24 kHz; empty where there is nothing to say."""
        return np.concatenate([np.zeros(0, np.float32), *self.stream(text)])

    def stream(self, text: str) -> Iterator[Array]:
        """The same in parts, the first after about half a second of speech. Raises Cancelled."""
        halt = threading.Event()
        with self._lock:
            self._halt = halt
        try:
            for piece in pieces(text, self.language):
                yield from self._piece(piece, halt)
        finally:
            with self._lock:
                self._halt = None if self._halt is halt else self._halt

    def cancel(self) -> None:
        """Ends the synthesis under way after the token it is at."""
        with self._lock:
            if self._halt is not None:
                self._halt.set()

    def _piece(self, text: str, halt: threading.Event) -> Iterator[Array]:
        vocoder, end = self._model.vocoder(self._voice, self._speed), SpeechEnd(RATE)
        for latents in _portions(self._model.latents(text, self.language, self._voice, self._seed), halt):
            sound = end.process(vocoder.push(latents))
            if len(sound):
                yield sound
            if end.ended:
                return
        rest = np.concatenate([end.process(vocoder.finish()), end.flush()])
        if len(rest):
            yield rest


def _portions(latents: Iterator[torch.Tensor], halt: threading.Event) -> Iterator[torch.Tensor]:
    """Latents (n, channels) in growing portions. Raises Cancelled."""
    held: list[torch.Tensor] = []
    size = FIRST
    for latent in latents:
        if halt.is_set():
            raise Cancelled
        held.append(latent)
        if len(held) == size:
            yield torch.cat(held)
            held, size = [], min(size * GROWTH, MOST)
    if held:
        yield torch.cat(held)


def _load(folder: Path) -> Any:
    """Coqui's network with these weights. Raises WeightsError.

    Not by its `load_checkpoint`: that writes the released model.pth anew where it lies, without the old pickle in it.
    """
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
    from TTS.tts.models.xtts import Xtts as Network
    from TTS.tts.models.xtts import _legacy_safe_globals

    config = XttsConfig()
    try:
        config.from_dict(json.loads(read_config(folder / CONFIG)))
        network = Network(config)
        network.tokenizer = VoiceBpeTokenizer(vocab_file=folder / VOCABULARY)
        network.init_models()
    except Exception as error:
        raise WeightsError(f"{folder} is not an XTTS model: {' '.join(str(error).split()):.200}") from error
    with _legacy_safe_globals():
        tensors = read_checkpoint(folder / MODEL).get("model", {})
    names = {name.removeprefix("xtts."): name for name in tensors}
    kept = {plain: tensors[name] for plain, name in names.items() if plain.split(".")[0] not in TRAINING}
    if any(name.startswith("gpt.gpt_inference.") for name in kept):  # as the first release wrote it
        network.gpt.init_gpt_for_inference(kv_cache=network.args.kv_cache)
    fill(str(folder / MODEL), network, kept)
    network.eval()  # which also makes the GPT ready to write token by token
    return network
