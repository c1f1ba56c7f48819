"""Where settings come from: what an error points to, and what a path in a file is relative to."""

from __future__ import annotations

import os
from collections.abc import Mapping

Path = tuple[str, ...]


class Places:
    """Where each value comes from: the line of a file (`(configs/karaoke.yaml:31)`), or what somebody typed."""

    def __init__(self, file: str = "", lines: Mapping[Path, int] | None = None, folder: str = "") -> None:
        self.file = file
        self.lines = lines or {}
        self.folder = folder  # what paths in the file are relative to
        self.typed: dict[Path, str] = {}  # by `--set`, word for word

    def typed_at(self, path: Path) -> str | None:
        """What was typed for the key at `path`, if anything was."""
        return self.typed.get(path)

    def located(self, value: str, path: Path) -> str:
        """A file's path as seen from the working directory: one that was typed is relative to that already."""
        typed = any(path[:length] in self.typed for length in range(1, len(path) + 1))
        return value if typed or not value else os.path.join(self.folder, value)

    def of(self, path: Path) -> str:
        """`" (file:line)"` of the key at `path` or of its nearest parent; empty where unknown."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return f" ({self.file}:{self.lines[path[:length]]})"
        return f" ({self.file})" if self.file else ""
