"""Reference audio for tests: found beside the checkout, skipped where it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("AUDIO_PIPELINE_SHARED", ROOT.parent / "shared")) / "data"


def shared(name: str) -> Path:
    """The reference file or folder `name`; skips the test that asks for it where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"reference audio {name} is not here (set AUDIO_PIPELINE_SHARED)")
    return path
