"""What a pipeline left behind, told apart from others by a runtime folder of its own."""

from __future__ import annotations

from pathlib import Path

import psutil


def processes(runtime: Path) -> list[str]:
    """Live processes that were started with `XDG_RUNTIME_DIR` set to this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("XDG_RUNTIME_DIR") == str(runtime) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid} {process.name()}")
        except psutil.Error:
            continue  # it ended just now, or belongs to somebody else
    return found


def leftovers(runtime: Path) -> list[str]:
    """Those processes, and what lies in the folder."""
    return processes(runtime) + [path.name for path in runtime.glob("audio-pipeline/*")]
