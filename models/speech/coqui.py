"""What the networks of coqui-tts have in common: how the package is imported, where their weights lie.

The package (idiap's fork, MPL-2.0) is an extra of its own, `.[coqui]` or `make coqui`. None of its downloads is used:
weights are files that somebody put there.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from audio_pipeline.errors import ConfigError, WeightsError
from audio_pipeline.models.weights.store import cache_folder, models_folder

CONFIG_BYTES = 1 << 20  # what stands in one is a few hundred numbers
NEEDED = ("torch", "torchaudio", "torchcodec", "TTS")
HOW = (
    "build its environment with `make coqui` and name it at the node, "
    "python: ~/.cache/audio-pipeline/envs/coqui/bin/python, or install the extra: pip install 'audio-pipeline[coqui]'"
)


def import_coqui() -> None:
    """Makes `import TTS` work. Raises ConfigError saying how to install it."""
    for name in NEEDED:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"coqui-tts needs the package {name}, which is not in this interpreter; {HOW}")
    _without_extension()
    try:
        importlib.import_module("TTS")
    except ImportError as error:
        raise ConfigError(f"coqui-tts cannot be imported: {' '.join(str(error).split())}; {HOW}") from error


def _without_extension() -> None:
    """torchaudio's wheels link CUDA and fail to import beside a torch without it. What the networks here use of
    torchaudio (mel spectra, resampling) is Python, so there its compiled part is left out."""
    import torch

    if torch.version.cuda is not None or "torchaudio" in sys.modules:
        return
    extension = ModuleType("torchaudio._extension")
    extension.__dict__.update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False, _IS_ALIGN_AVAILABLE=False, fail_if_no_align=lambda function: function
    )
    sys.modules["torchaudio._extension"] = extension


def weights_folder(name: str, files: Sequence[str], origin: str) -> Path:
    """The folder `name` below AUDIO_PIPELINE_MODELS or the cache that holds these files. Raises WeightsError."""
    bases = [base for base in (models_folder(), cache_folder()) if base is not None]
    for base in bases:
        if all((base / name / file).is_file() for file in files):
            return base / name
    raise WeightsError(
        f"the weights of {name} are not here, expected {', '.join(files)} in "
        f"{' or '.join(str(base / name) for base in bases)}; they are not fetched by themselves ({origin})"
    )


def read_config(path: Path) -> bytes:
    """A configuration as it lies beside its weights, at most a megabyte. Raises WeightsError."""
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_BYTES + 1)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > CONFIG_BYTES:
        raise WeightsError(f"{path} is larger than {CONFIG_BYTES} bytes, which no configuration is")
    return data


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `torch.save` wrote: tensors in plain containers, anything else is refused. Raises WeightsError."""
    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{path} was refused: {' '.join(str(error).split()):.200}") from error
    if not isinstance(found, dict):
        raise WeightsError(f"{path} holds a {type(found).__name__}, expected a map of tensors")
    return found


def fill(owner: str, network: Any, tensors: Any, *, elsewhere: tuple[str, ...] = ()) -> None:
    """Loads all tensors of the network but those `elsewhere` (prefixes). Raises WeightsError naming one that is odd."""
    try:
        answer = network.load_state_dict(tensors, strict=False)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise WeightsError(f"{owner}: {' '.join(str(error).split()):.300}") from error
    missing = [name for name in answer.missing_keys if not name.startswith(elsewhere or ("\0",))]
    for what, names in (("missing", missing), ("unknown", answer.unexpected_keys)):
        if names:
            raise WeightsError(f"{owner}: {len(names)} tensors are {what}, such as {names[0]}")


def chosen_device(device: str) -> str:
    """`cpu`, `cuda`, or for `auto` CUDA where torch has it. Raises ConfigError."""
    import torch

    here = torch.cuda.is_available()
    if device == "cuda" and not here:
        raise ConfigError("device: cuda is set, but torch finds no GPU here; use auto or cpu")
    return "cuda" if here and device != "cpu" else "cpu"
