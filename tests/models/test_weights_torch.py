"""Checkpoints of torch, in today's zip and the older format, read without torch and without trust."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_pipeline.errors import WeightsError
from audio_pipeline.models.weights.torch_files import MAGIC, read_torch


def saved(path: Path, as_zip: bool = False, **state: torch.Tensor) -> Path:
    torch.save({"step": 3, "model_state": state}, path, _use_new_zipfile_serialization=as_zip)
    return path


@pytest.mark.parametrize("as_zip", [False, True])
def test_tensors_come_back_bit_for_bit(tmp_path: Path, as_zip: bool) -> None:
    tensors = {"a.weight": torch.randn(5, 3), "a.bias": torch.randn(7), "scalar": torch.randn(())}
    found = read_torch(saved(tmp_path / "x.pt", as_zip, **tensors), "model_state")
    assert sorted(found) == sorted(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


def test_tensors_that_share_a_storage_are_told_apart(tmp_path: Path) -> None:
    whole = torch.arange(24.0)
    found = read_torch(saved(tmp_path / "x.pt", first=whole[:6].view(2, 3), rest=whole[6:]), "model_state")
    assert found["first"].tolist() == [[0, 1, 2], [3, 4, 5]] and found["rest"][0] == 6


def test_a_transposed_tensor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not lie in a storage"):
        read_torch(saved(tmp_path / "x.pt", x=torch.randn(3, 4).T), "model_state")


@pytest.mark.parametrize("tensor", [torch.ones(2, dtype=torch.float64), torch.ones(2, dtype=torch.int64)])
def test_other_numbers_are_refused_by_name(tmp_path: Path, tensor: torch.Tensor) -> None:
    with pytest.raises(WeightsError, match="Storage is not on the allow-list"):
        read_torch(saved(tmp_path / "x.pt", x=tensor), "model_state")


def test_code_is_never_called(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (eval, ("1/0",))

    path = tmp_path / "x.pt"
    path.write_bytes(pickle.dumps(MAGIC, 2) + pickle.dumps(1001, 2) + pickle.dumps(Evil(), 2))
    with pytest.raises(WeightsError, match="eval is not on the allow-list"):
        read_torch(path, "model_state")


@given(cut=st.integers(0, 400), at=st.integers(0, 1_200), value=st.integers(0, 255), as_zip=st.booleans())
@settings(max_examples=200)
def test_a_damaged_file_ends_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, cut: int, at: int, value: int, as_zip: bool
) -> None:
    path = tmp_path_factory.mktemp("torch") / "x.pt"
    data = bytearray(saved(path, as_zip, x=torch.zeros(4)).read_bytes())
    data[at % len(data)] = value
    path.write_bytes(bytes(data[: len(data) - cut]))
    try:
        read_torch(path, "model_state")
    except WeightsError as error:
        assert "x.pt is not a checkpoint of torch" in str(error)
