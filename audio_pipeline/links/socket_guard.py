"""Notices when another process takes the place of a socket file.

A second bind to an ipc path steals it without a word (libzmq removes the file first): who connects from then on
reaches the thief. The folder is private, so only a process of the same user can; that may be a mistake as well.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

EVERY_S = 1.0


class SocketGuard:
    """Remembers which file each running process bound, and says where it is another one now."""

    def __init__(self, folder: Path, control: str) -> None:
        self._folder, self._control = folder, control
        self._known: dict[str, tuple[int, dict[str, int]]] = {}  # owner -> process, its sockets by name
        self._next_s = 0.0
        self.control_taken = False
        self._control_inode = (self._found() or {}).get(control)

    def turn(self, now_s: float, owners: Mapping[str, int]) -> dict[str, str]:
        """Once a second: the owners (a node's name and its process) whose sockets were taken, and which one was."""
        if now_s < self._next_s:
            return {}
        self._next_s = now_s + EVERY_S
        found = self._found()
        if found is None:
            return {}  # the folder cannot be looked at now, so nothing is known of who took what
        self.control_taken = found.get(self._control) != self._control_inode
        self._known = {owner: known for owner, known in self._known.items() if owners.get(owner) == known[0]}
        taken: dict[str, str] = {}
        for owner, process in owners.items():
            mine = {name: inode for name, inode in found.items() if name.partition(".")[0] == owner}
            _, before = self._known.setdefault(owner, (process, mine))
            lost = [name for name, inode in before.items() if found.get(name) != inode]
            stolen = [name for name in lost if name in found]  # what is gone is bound again by its owner
            if stolen:
                taken[owner] = stolen[0]
            self._known[owner] = (process, mine)
        return taken

    def expect(self, owner: str) -> None:
        """Its sockets are bound anew, by itself: what is there next is its own."""
        self._known.pop(owner, None)

    def took_back(self) -> None:
        """The control socket was bound anew."""
        self._control_inode, self.control_taken = (self._found() or {}).get(self._control), False

    def _found(self) -> dict[str, int] | None:
        """The sockets in the folder by name; None where the system does not let us look."""
        found: dict[str, int] = {}
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):  # gone while we looked: the others are there all the same
                        status = entry.stat(follow_symlinks=False)
                        if stat.S_ISSOCK(status.st_mode):
                            found[entry.name] = status.st_ino
        except FileNotFoundError:
            return {}
        except OSError:
            return None
        return found
