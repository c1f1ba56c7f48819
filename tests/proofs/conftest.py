"""What the proofs share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from audio_pipeline.keys import FOLDER
from tests.proofs.hosts import make_keys


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of one's own, with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="ap-") as name:
        monkeypatch.setenv("XDG_RUNTIME_DIR", name)
        yield Path(name)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keys of two hosts, studio and laptop, which know each other."""
    monkeypatch.setenv(FOLDER, str(tmp_path / "keys"))
    make_keys(tmp_path / "keys")
