"""Private files: whole or not at all, and nobody else's to read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audio_pipeline import private_file
from audio_pipeline.private_file import write_private


def test_a_file_is_replaced_and_private(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"old and open to all")
    path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_bytes() == b"new" and path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["secret"]


def test_what_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    write_private(path, b"old")

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(private_file.os, "fsync", full)  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="No space"):
        write_private(path, b"new")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["secret"]
