"""Voices of XTTS by name: those that came with its weights, and those that were enrolled here.

Its weights are under the Coqui Public Model License, which allows no commercial use; so somebody has to say that this
is understood before the model speaks.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.errors import ConfigError, WeightsError, nearest
from audio_pipeline.models.speech.coqui import read_config, weights_folder
from audio_pipeline.models.speech.xtts import CONFIG, MODEL, VOCABULARY, Latents, Xtts, XttsVoice
from audio_pipeline.models.speech.xtts_text import checked_language
from audio_pipeline.models.voices import by_name
from audio_pipeline.models.voices.sample import unpacked
from audio_pipeline.models.weights.tensors import read_tensors
from audio_pipeline.private_file import write_private

Array = np.ndarray[Any, np.dtype[np.float32]]
Sample = Callable[[str], "tuple[bytes, Path] | None"]

AGREED = "COQUI_TOS_AGREED"
ORIGIN = "XTTS v2 by Coqui, Coqui Public Model License; see docs/models/xtts.md"
CACHE_FILE = "xtts-{}.safetensors"


def parsed(name: str) -> tuple[str, str]:
    """The voice and the language of `xtts:VOICE@LANGUAGE`, where both may be left out.

    >>> parsed("xtts:Ana Florence"), parsed("xtts:Ana Florence@de"), parsed("xtts")
    (('Ana Florence', 'en'), ('Ana Florence', 'de'), ('', 'en'))
    """
    voice, at, language = name.partition(":")[2].rpartition("@")
    return (voice, checked_language(language)) if at else (language, "en")


def check_licence() -> None:
    """Raises ConfigError unless somebody accepted the licence of the weights."""
    if os.environ.get(AGREED) != "1":
        raise ConfigError(
            "the weights of XTTS may not be used commercially (Coqui Public Model License, "
            f"https://coqui.ai/cpml); if you accept that, set {AGREED}=1"
        )


def open_xtts(
    name: str, sample: Sample | None = None, *, speed: float = 1.0, threads: int = 0, device: str = "auto"
) -> XttsVoice:
    """The voice `xtts:NAME@LANGUAGE`. Raises ConfigError, WeightsError.

    `sample(NAME)` gives the recording of an enrolled voice whose speaker agreed and the folder where its latents may
    be kept, or None (if not said: the library of enrolled voices); such a voice goes before one of the model's. `xtts`
    alone is the first that came with the model.
    """
    who, language = parsed(name)
    check_licence()
    folder = weights_folder("xtts", (CONFIG, MODEL, VOCABULARY), ORIGIN)
    model = Xtts(folder, device=device, threads=threads)
    enrolled = (sample or _enrolled)(who) if who else None
    latents = _own(model, who) if enrolled is None else latents_of(model, *enrolled)
    return XttsVoice(model, latents, language=language, speed=speed)


def _enrolled(name: str) -> tuple[bytes, Path] | None:
    """Of the library of voices, which keeps its recordings for engines of other kinds. Raises ConfigError."""
    return by_name.enrolled_sample(name)


def _own(model: Xtts, who: str) -> Latents:
    known = model.speakers()
    if not who and known:
        return next(iter(known.values()))
    if who not in known:
        here = ", ".join(known) or "none"
        raise ConfigError(f"voice: unknown {'xtts:' + who!r}{nearest(who, known)}; voices of XTTS here are {here}")
    return known[who]


def latents_of(model: Xtts, recording: bytes, cache: Path) -> Latents:
    """The latents of a recorded voice, made once and then read from `cache`, a private folder. Raises MediaError."""
    file = cache / CACHE_FILE.format(_key(model.folder, recording))
    try:
        return _read(file)
    except WeightsError:
        latents = model.condition(*decoded(recording))
        _write(file, latents)
        return latents


def decoded(recording: bytes) -> tuple[Array, int]:
    """Mono sound (samples,) and its rate. Raises MediaError."""
    sound, rate = unpacked(recording, "the recording of the voice")
    return to_channels(sound, 1)[:, 0], rate


def _key(folder: Path, recording: bytes) -> str:
    """Another recording or another model is another key; the model's 2 GB are not read for it."""
    model = (folder / MODEL).stat()
    about = f"{model.st_size} {model.st_mtime_ns} ".encode() + read_config(folder / CONFIG)
    return hashlib.sha256(hashlib.sha256(about).digest() + recording).hexdigest()[:32]


def _read(file: Path) -> Latents:
    import torch

    found = read_tensors(file)
    try:
        return Latents(*(torch.from_numpy(found[name]) for name in ("style", "speaker")))
    except KeyError as error:
        raise WeightsError(f"{file} has no tensor {error}") from error


def _write(file: Path, latents: Latents) -> None:
    """Whole or not at all, for this user alone: a voice can be made from it."""
    from safetensors.numpy import save

    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    data = save({"style": latents.style.cpu().numpy(), "speaker": latents.speaker.cpu().numpy()})
    write_private(file, data)
