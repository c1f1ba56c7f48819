"""Run by an interpreter that has coqui-tts: small networks of its own classes, then one check, printed as JSON.

    python coqui_small.py make FOLDER             writes FOLDER/{xtts,openvoice,freevc} as released weights lie
    python coqui_small.py CHECK FOLDER            prints what was found

The weights are random, so nothing is said about how it sounds.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audio_pipeline.models.speech.coqui import import_coqui

import_coqui()

RATE = 24_000
OPENVOICE = {"inter_channels": 16, "hidden_channels": 16, "filter_channels": 16, "upsample_initial_channel": 32}
WAVLM = {
    "extractor_mode": "layer_norm",
    "encoder_layers": 2,
    "encoder_embed_dim": 32,
    "encoder_ffn_embed_dim": 64,
    "encoder_attention_heads": 4,
    "conv_feature_layers": "[(16,10,5)] + [(16,3,2)] * 4 + [(16,2,2)] * 2",
    "layer_norm_first": True,
    "normalize": True,
    "conv_pos": 16,
    "conv_pos_groups": 4,
    "relative_position_embedding": True,
    "gru_rel_pos": True,
    "num_buckets": 32,
    "max_distance": 80,
}
FREEVC = {
    **OPENVOICE,
    "upsample_rates": [10, 6, 4, 2],
    "upsample_kernel_sizes": [16, 16, 4, 4],
    "gin_channels": 32,
    "ssl_dim": 32,
    "use_spk": False,
}


def noise(seconds: float, rate: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(np.float32)


def make(folder: Path) -> dict[str, Any]:
    torch.manual_seed(0)
    make_xtts(folder / "xtts")
    make_openvoice(folder / "openvoice")
    make_freevc(folder / "freevc")
    return {"made": sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*"))}


SMALL_GPT = {
    "gpt_layers": 2,
    "gpt_n_model_channels": 64,
    "gpt_n_heads": 2,
    "decoder_input_dim": 64,
    "gpt_num_audio_tokens": 66,
    "gpt_start_audio_token": 64,
    "gpt_stop_audio_token": 65,
}


def make_xtts(folder: Path, sizes: dict[str, int] | None = None) -> None:
    """A GPT of two layers, or of `sizes`; its checkpoint as Coqui released it, with the config object inside."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
    from TTS.tts.models.xtts import Xtts, _legacy_safe_globals

    folder.mkdir(parents=True)
    special = ["[STOP]", "[UNK]", "[SPACE]", "[START]", "[en]", "[de]"]
    vocabulary = {sign: i for i, sign in enumerate([*special, *"abcdefghijklmnopqrstuvwxyz'.,!?-"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="[UNK]"))
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "vocab.json"))
    tokens = {"gpt_number_text_tokens": len(vocabulary), "gpt_start_text_token": 3, "gpt_stop_text_token": 0}
    args = XttsArgs(gpt_use_perceiver_resampler=True, **(SMALL_GPT if sizes is None else sizes), **tokens)
    config = XttsConfig(model_args=args)
    network = Xtts(config)
    config.save_json(str(folder / "config.json"))
    with _legacy_safe_globals():
        torch.save({"model": network.state_dict(), "config": config}, folder / "model.pth")
    style = torch.randn(1, 32, args.gpt_n_model_channels)
    own = {"gpt_cond_latent": style, "speaker_embedding": torch.randn(1, 512, 1)}
    torch.save({"Ana Florence": own}, folder / "speakers_xtts.pth")


def make_openvoice(folder: Path) -> None:
    from TTS.vc.configs.openvoice_config import OpenVoiceConfig
    from TTS.vc.models.openvoice import OpenVoice

    folder.mkdir(parents=True)
    config = OpenVoiceConfig()
    for key, value in OPENVOICE.items():
        setattr(config.model_args, key, value)
    data = {"sampling_rate": 22_050, "filter_length": 1_024, "hop_length": 256, "win_length": 1_024}
    (folder / "config.json").write_text(json.dumps({"data": data, "model": OPENVOICE}))
    torch.save({"model": OpenVoice(config).state_dict()}, folder / "checkpoint.pth")


def make_freevc(folder: Path) -> None:
    """Its own checkpoint without WavLM's tensors, which come from their own file."""
    from TTS.vc.configs.freevc_config import FreeVCConfig
    from TTS.vc.layers.freevc.wavlm.wavlm import WavLM, WavLMConfig
    from TTS.vc.models import freevc

    folder.mkdir(parents=True)
    wavlm = WavLM(WavLMConfig(WAVLM))
    torch.save({"cfg": WAVLM, "model": wavlm.state_dict()}, folder / "WavLM-Large.pt")
    config = FreeVCConfig()
    for key, value in FREEVC.items():
        setattr(config.model_args, key, value)
    freevc.get_wavlm = lambda device="cpu": wavlm
    tensors = {key: value for key, value in freevc.FreeVC(config).state_dict().items() if not key.startswith("wavlm.")}
    torch.save({"model": tensors}, folder / "model.pth")
    audio = {"input_sample_rate": 16_000, "output_sample_rate": 24_000}
    (folder / "config.json").write_text(json.dumps({"audio": audio, "model_args": FREEVC}))


def xtts(folder: Path) -> dict[str, Any]:
    """Sound in portions beside coqui's own vocoder on all latents at once; and what its own stream would deliver."""
    from audio_pipeline.models.speech.xtts import Xtts, XttsVoice

    before = (folder / "xtts" / "model.pth").read_bytes()
    model = Xtts(folder / "xtts", device="cpu")
    voice = model.condition(noise(4, RATE), RATE)
    text = "Nobody was there."
    latents = list(model.latents(text, "en", voice, 0))
    found: dict[str, Any] = {"latents": len(latents), "difference": {}, "untouched": _same(folder, before)}
    with torch.inference_mode():
        whole = model.model.hifigan_decoder(torch.cat(latents)[None], g=voice.speaker)[0, 0].numpy()
    for size in (1, 17, len(latents)):
        vocoder = model.vocoder(voice, 1.0)
        parts = [vocoder.push(torch.cat(latents[at : at + size])) for at in range(0, len(latents), size)]
        sound = np.concatenate([*parts, vocoder.finish()])
        found["samples"], found["expected"] = len(sound), len(whole)
        found["difference"][size] = float(np.abs(sound - whole).max() / np.abs(whole).max())
    engine = XttsVoice(model, voice)
    once, again = engine.send_due(text), engine.send_due(text)
    same, peak = bool(np.array_equal(once, again)), float(np.abs(once).max())
    return {**found, "seconds": len(once) / RATE, "repeatable": same, "peak": peak}


def _same(folder: Path, before: bytes) -> bool:
    return (folder / "xtts" / "model.pth").read_bytes() == before


def openvoice(folder: Path) -> dict[str, Any]:
    """Our converter beside `voice_conversion` of the class itself, without noise, on whole hops."""
    from audio_pipeline.models.convert.coqui_vc import OpenVoiceConverter

    ours = OpenVoiceConverter(folder / "openvoice", device="cpu", tau=0.0)
    reference, source = noise(2, 22_050, 1), noise(3, 22_050, 2)[: 256 * 250]
    ours.aim(reference, 22_050)
    y = ours.convert(source, 0)
    theirs = ours._model.voice_conversion(torch.from_numpy(source), [torch.from_numpy(reference)])
    lengths = [len(ours.convert(source[:n], 0)) for n in (1, 300, 1_000, 22_051)]
    return {
        "difference": float(np.abs(y - theirs).max() / np.abs(theirs).max()),
        "lengths": lengths,
        "colour": list(ours._model.extract_se(torch.from_numpy(source))[0][0, :, 0].shape),
        "stream": _blocks(ours, source, 22_050),
    }


def freevc(folder: Path) -> dict[str, Any]:
    """N samples in, N out, at the same places: the network's frames beside its own `voice_conversion` on 16 kHz."""
    from audio_pipeline.models.convert.coqui_vc import FreeVCConverter

    ours = FreeVCConverter(folder / "freevc", device="cpu")
    ours.aim(noise(2, 16_000, 1), 16_000)
    target = ours._model.clone_voice([torch.from_numpy(noise(2, 16_000, 1))])["speaker_embedding"]
    source = noise(3, RATE, 2)
    lengths = [len(ours.convert(source[:n], 0)) for n in (1, 300, 1_000, 24_001)]
    return {
        "aim": bool(torch.equal(target, ours._target)),
        "lengths": lengths,
        "stream": _blocks(ours, source, RATE),
        "repeatable": bool(np.array_equal(ours.convert(source, 7), ours.convert(source, 7))),
    }


def _blocks(converter: Any, x: np.ndarray, rate: int) -> list[int]:
    """Samples in and out of the live scheme, where this tree has it."""
    try:
        from audio_pipeline.models.convert.blocks import BlockConverter
    except ImportError:
        return [0, 0]
    blocks = BlockConverter(converter, rate)
    return [len(x), sum(len(blocks.process(x[at : at + 480])) for at in range(0, len(x), 480)) + len(blocks.finish())]


def hostile(folder: Path) -> dict[str, Any]:
    """WavLM's list of layers is a Python expression in its checkpoint, which its code evaluates."""
    from audio_pipeline.errors import WeightsError
    from audio_pipeline.models.convert.coqui_vc import _wavlm

    path = folder / "evil.pt"
    torch.save({"cfg": {**WAVLM, "conv_feature_layers": f"open({str(folder / 'ran')!r}, 'w')"}, "model": {}}, path)
    try:
        _wavlm(path)
    except WeightsError as error:
        return {"said": str(error), "ran": (folder / "ran").exists()}
    return {"said": "", "ran": True}


if __name__ == "__main__":
    checks = {check.__name__: check for check in (make, xtts, openvoice, freevc, hostile)}
    print(json.dumps(checks[sys.argv[1]](Path(sys.argv[2]))))
