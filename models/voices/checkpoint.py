"""A search on disk: tensors in safetensors, the rest in JSON, replaced as a whole, readable by this user alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from audio_pipeline.errors import ConfigError, WeightsError
from audio_pipeline.models.voices import files
from audio_pipeline.models.voices.adam import State
from audio_pipeline.models.voices.fitted import Fit
from audio_pipeline.models.voices.reference import Reference
from audio_pipeline.models.weights.tensors import check_tensors, read_tensors
from audio_pipeline.private_file import write_private

TENSORS, NUMBERS = "search.safetensors", "search.json"
VERSION = 1
TENSORS_BYTES, NUMBERS_BYTES, MOST_COUNT = 1 << 20, 10_000, 1e15
VECTORS = ("point", "first", "second", "average", "best")
COUNTS = tuple(field.name for field in fields(State) if field.name not in VECTORS)


def save_state(folder: Path | None, reference: Reference, start: Fit, state: State) -> None:
    """Writes both files; the JSON, which names what the tensors belong to, comes last."""
    if folder is None:
        return
    from safetensors.numpy import save

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    tensors = save({name: np.ascontiguousarray(getattr(state, name), np.float32) for name in VECTORS})
    numbers: dict[str, Any] = {name: getattr(state, name) for name in COUNTS}
    about = {"version": VERSION, "of": digest(reference, start), "tensors": hashlib.sha256(tensors).hexdigest()}
    write_private(folder / TENSORS, tensors)
    write_private(folder / NUMBERS, json.dumps(about | {"state": numbers}, indent=1).encode())


def load_state(folder: Path | None, reference: Reference, start: Fit) -> State | None:
    """The state saved for this reference and start, or None. Raises ConfigError where it is damaged."""
    if folder is None or not (folder / NUMBERS).exists():
        return None
    try:
        about = json.loads(files.read(folder / NUMBERS, NUMBERS_BYTES))
        if about["of"] != digest(reference, start) or about["version"] != VERSION:
            return None
        if hashlib.sha256(files.read(folder / TENSORS, TENSORS_BYTES)).hexdigest() != about["tensors"]:
            raise ValueError(f"{TENSORS} is not from this search")
        tensors = read_tensors(folder / TENSORS)
        half = (kokoro_half(start),)
        check_tensors("voice search", dict.fromkeys(VECTORS, half), tensors)
        saved: dict[str, Any] = {name: tensors[name] for name in VECTORS}
        return State(**saved, **{name: _number(about["state"][name]) for name in COUNTS})
    except (OSError, ValueError, KeyError, TypeError, RecursionError, WeightsError) as error:
        raise ConfigError(f"the checkpoint in {folder} is damaged ({error}); delete it to begin anew") from error


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < MOST_COUNT:
        raise ValueError(f"expected a number of sense, got {value!r:.40}")
    return value


def kokoro_half(start: Fit) -> int:
    """Numbers that are searched."""
    return int(start.pack.shape[1] // 2)


def digest(reference: Reference, start: Fit) -> str:
    """Tells one search from another."""
    numbers = (reference.embedding, start.pack, np.float32(start.speed))
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in numbers)).hexdigest()
