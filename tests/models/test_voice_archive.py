"""A voice as one file: what comes back is what was given, private, all or nothing."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.errors import ConfigError, PipelineError
from audio_pipeline.models.voices.archive import export_voice, import_voice
from audio_pipeline.models.voices.enrolled import Library
from tests.models.voice_drafts import library, there

__all__ = ["library", "there"]

NOW = "2026-02-03T04:05:06+00:00"


def test_there_and_back(library: Library, there: Library, tmp_path: Path) -> None:
    path = tmp_path / "ann.voice"
    assert export_voice(library, "ann", path) == path.stat().st_size
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    record, before = import_voice(there, path, now=NOW), library.record("Ann")
    assert record.consent == before.consent and record.name == "Ann" and record.files == before.files
    assert record.provenance.imported == NOW and record.id != before.id
    assert np.array_equal(there.voice("Ann").pack, library.voice("Ann").pack)
    assert there.sample("Ann") == library.sample("Ann")


def test_the_sample_can_stay_at_home(library: Library, there: Library, tmp_path: Path) -> None:
    export_voice(library, "Ann", tmp_path / "x", with_sample=False)
    record = import_voice(there, tmp_path / "x", now=NOW)
    assert there.sample("Ann") is None and record.sample == library.record("Ann").sample
    assert np.array_equal(there.voice("Ann").pack, library.voice("Ann").pack)
    assert library.sample("Ann") is not None


def test_the_same_voice_is_the_same_file(library: Library, tmp_path: Path) -> None:
    for name in ("a", "b"):
        export_voice(library, "Ann", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_name_that_is_taken_can_be_changed(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "x"
    export_voice(library, "Ann", path)
    with pytest.raises(ConfigError, match="there is a voice 'Ann' already"):
        import_voice(library, path, now=NOW)
    assert import_voice(library, path, now=NOW, name="Ann 2").name == "Ann 2"
    with pytest.raises(ConfigError, match="printable"):
        import_voice(library, path, now=NOW, name="a\n")


def test_a_file_that_is_there_is_kept(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_bytes(b"mine")
    with pytest.raises(ConfigError, match="exists already; add --force"):
        export_voice(library, "Ann", path)
    assert path.read_bytes() == b"mine"
    export_voice(library, "Ann", path, overwrite=True)
    assert path.read_bytes()[:2] == b"PK"


def test_a_full_disk_leaves_nothing(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PipelineError, match="cannot be written: No space left on device"):
        export_voice(library, "Ann", tmp_path / "x")
    assert {path.name for path in tmp_path.iterdir()} == {"here"}
