"""Keeps a running pipeline's folder: nothing in it looks old, and what was removed is put back.

`systemd-tmpfiles`, a clean-up by hand and a log-out take files away from under a pipeline. Its processes have mapped
them and go on; who comes later must find the same files again. So a descriptor of each is held here, and a lost name
becomes a link to that.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from audio_pipeline.errors import PipelineError
from audio_pipeline.host.runtime import RunDir, restore

EVERY_S = 0.25  # less than any age that a clean-up can be set to


class Keeper:
    """Looks after one folder. From the supervisor's thread."""

    def __init__(self, run: RunDir, token: str) -> None:
        self._run, self._token = run, token
        self._held: dict[Path, int] = {}
        self._next_s = 0.0
        self._is_lost = False

    def turn(self, now_s: float, wanted: Collection[Path]) -> list[str]:
        """Every quarter of a second: what was put back, or why it cannot be, in a line each.

        What is new is held at once: a board that is lost before that is lost for good.
        """
        self._hold(wanted)
        if now_s < self._next_s:
            return []
        self._next_s = now_s + EVERY_S
        try:
            notices = restore(self._run, self._token)
            self._is_lost = False
        except (PipelineError, OSError) as error:
            again, self._is_lost = self._is_lost, True
            return [] if again else [f"the runtime folder is lost ({error}); the pipeline plays on without it"]
        back = [path.name for path in self._held if self._put_back(path)]
        self._touch()
        return [f"{name} was removed from {self._run.path.parent} and is put back" for name in (*notices, *back)]

    def descriptor(self, path: Path) -> int | None:
        """Of a file that is kept."""
        return self._held.get(path)

    def _hold(self, wanted: Collection[Path]) -> None:
        for path in [path for path in self._held if path not in wanted]:
            os.close(self._held.pop(path))
        for path in wanted:
            if path not in self._held:
                with suppress(OSError):  # not made yet, or no descriptor just now
                    self._held[path] = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)

    def _put_back(self, path: Path) -> bool:
        if os.path.lexists(path):
            return False
        try:
            os.symlink(f"/proc/{os.getpid()}/fd/{self._held[path]}", path)
        except OSError:
            return False
        return True

    def _touch(self) -> None:
        with suppress(OSError):
            for path in (self._run.path.parent, self._run.path, *self._run.path.iterdir()):
                with suppress(OSError):
                    os.utime(path, follow_symlinks=False)

    def close(self) -> None:
        for number in self._held.values():
            os.close(number)
        self._held.clear()
