"""The allow-listed unpickler against honest and hostile pickles."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.errors import WeightsError
from audio_pipeline.models.weights.pickles import load_arrays, read_torch_zip

HONEST = {
    "kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "columns": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    "big_endian": np.arange(3, dtype=">f4"),
    "count": np.array(3, np.int64),
    "empty": np.zeros((0, 2), np.float32),
}


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_come_back_as_they_were(protocol: int) -> None:
    found = load_arrays(pickle.dumps(HONEST, protocol))
    assert list(found) == list(HONEST)
    for name, array in HONEST.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].shape == array.shape


class Calls:
    """Pickles as a call of something."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self._call


def test_code_in_a_pickle_is_named_and_not_run(tmp_path: Path) -> None:
    target = tmp_path / "ran"
    with pytest.raises(WeightsError, match=r"(posix|nt)\.mkdir is not on the allow-list"):
        load_arrays(pickle.dumps({"kernel": Calls(os.mkdir, str(target))}))
    assert not target.exists()


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        (Calls(eval, "1"), r"__builtin__.eval is not on the allow-list"),
        (Calls(getattr, "a", "upper"), r"__builtin__.getattr is not on the allow-list"),
        (Calls(np.load, "x"), "load is not on the allow-list"),
        (Calls(__import__("_codecs").encode, "abc", "zlib"), "codec 'zlib' is not allowed"),
        (np.array([object]), "type 'O8' are not allowed|is not on the allow-list"),
        (np.array(["text"]), "type 'U4' are not allowed"),
        (np.zeros(2, [("a", "f4")]), "are not allowed"),
    ],
)
def test_other_names_and_types_are_refused(hostile: Any, reason: str) -> None:
    with pytest.raises(WeightsError, match=reason):
        load_arrays(pickle.dumps({"kernel": hostile}, 2))


@pytest.mark.parametrize("content", [[1, 2], "text", {"a": 1}, {"a": "b"}, {1: np.zeros(1)}, {"a": [np.zeros(1)]}])
def test_only_a_dictionary_of_arrays_will_do(content: Any) -> None:
    with pytest.raises(WeightsError, match="the checkpoint"):
        load_arrays(pickle.dumps(content, 2))


def test_torch_tensors_are_refused() -> None:
    """They lie in files beside the pickle, under persistent names."""
    data = io.BytesIO()
    pickler = pickle.Pickler(data, 2)
    pickler.persistent_id = lambda thing: "storage" if isinstance(thing, bytearray) else None  # type: ignore[method-assign]
    pickler.dump({"kernel": bytearray(1)})
    with pytest.raises(WeightsError, match="persistent"):
        load_arrays(data.getvalue())


@given(cut=st.integers(0, 2_000), edits=st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 255)), max_size=5))
def test_a_damaged_pickle_is_refused_or_read(cut: int, edits: list[tuple[int, int]]) -> None:
    """Any bytes in any place end in arrays or in one sentence."""
    data = bytearray(pickle.dumps(HONEST, 2))
    for at, value in edits:
        data[at % len(data)] = value
    try:
        assert all(isinstance(array, np.ndarray) for array in load_arrays(bytes(data[: len(data) - cut])).values())
    except WeightsError as error:
        assert "the checkpoint" in str(error)


def test_archives(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps(HONEST, 2))
    np.testing.assert_array_equal(read_torch_zip(path)["kernel"], HONEST["kernel"])
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(WeightsError, match=r"a.ckpt is not a torch.save archive"):
        read_torch_zip(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/other", "")
    with pytest.raises(WeightsError, match=r"a.ckpt is not a torch.save archive"):
        read_torch_zip(path)
