"""Private files: whole or not at all, and nobody else's to read."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from audio_pipeline import private_file
from audio_pipeline.private_file import write_private, write_whole


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


def test_a_file_for_others_has_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "page", "é")
    finally:
        os.umask(before)
    assert (tmp_path / "page").read_bytes() == "é".encode()
    assert (tmp_path / "page").stat().st_mode & 0o777 == 0o640


def test_every_small_file_is_written_by_the_one_helper() -> None:
    """What is written in place is a file of 0 bytes on a full disk."""
    root = Path(private_file.__file__).parent
    memory_mapped = {"clock.py", "metrics.py"}  # their size, once, in a folder of this run
    others = {"graph/text.py"}  # a scratch file that is linked, so that one that is there stays
    others |= {f"models/{name}" for name in ("speech/kokoro.py", "weights/sources.py", "weights/store.py")}  # fetches
    found = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if re.search(r"\.write_(text|bytes)\(", path.read_text())
    }
    assert found - memory_mapped - others == set()
