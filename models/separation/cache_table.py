"""A small table in the cache folder of what was found out about this machine: bounded, and never trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from audio_pipeline.cpu import cores, processor
from audio_pipeline.private_file import locked, write_private

MOST = 64  # machines and models in one file; the oldest goes
MOST_BYTES = 1 << 16


def machine_key(*run: object) -> str:
    """The key of this machine; `run` is what else decides how long an inference takes."""
    return "; ".join(map(str, (processor(), f"{cores()} cores", *run)))


def read_table(path: Path) -> dict[str, Any]:
    """What stands in the file; nothing where it is missing, damaged or too large to be ours."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return {}
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def write_entry(path: Path, key: str, value: Any) -> None:
    """Writes one entry, whole or not at all, beside what others write. Raises OSError."""
    with locked(path.parent):
        known = read_table(path)
        known.pop(key, None)
        write_private(path, json.dumps({**dict(list(known.items())[1 - MOST :]), key: value}, indent=1).encode())
