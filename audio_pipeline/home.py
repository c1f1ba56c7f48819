"""The user's folders: home, configuration, data, cache, state. Nothing else asks for a home folder.

There may be none: HOME unset and no passwd entry (`docker run -u 12345`), HOME=/, a home that is read-only or belongs
to somebody else. Looking for a file then finds none; only what has to be written fails, in a sentence that names the
variable to set.
"""

from __future__ import annotations

import errno
import logging
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

NAME = "audio-pipeline"
NO_HOME = Path("/nonexistent")  # what Debian gives accounts that have no home (Policy 9.2.3)
MENDED_ELSEWHERE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR)  # by another folder


@dataclass(frozen=True)
class Base:
    """A folder of the XDG Base Directory Specification: the variable that names it, and where it is without."""

    variable: str
    default: str  # below the home folder

    def folder(self) -> Path:
        """Our part of it, whether it is there or not. The specification: a relative path is ignored."""
        said = os.environ.get(self.variable, "")
        return (Path(said) if os.path.isabs(said) else home() / self.default) / NAME

    def why(self, error: OSError) -> str:
        """Why something in it cannot be read or written, with the way out where another folder is one."""
        reason = error.strerror or str(error)
        if error.errno not in MENDED_ELSEWHERE:
            return reason
        return f"{reason}; set {self.variable} to a folder of yours"


CONFIG = Base("XDG_CONFIG_HOME", ".config")
DATA = Base("XDG_DATA_HOME", ".local/share")
CACHE = Base("XDG_CACHE_HOME", ".cache")
STATE = Base("XDG_STATE_HOME", ".local/state")


def home() -> Path:
    """$HOME, or what the system's list of users says, or NO_HOME."""
    said = os.environ.get("HOME", "")
    if os.path.isabs(said):
        return Path(said)
    try:
        listed = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # no passwd entry
        return NO_HOME
    return Path(listed) if os.path.isabs(listed) else NO_HOME


def without_cache(library: str) -> None:
    """Called before a library that caches in the home folder is imported: that it may not is no news for the user."""
    logging.getLogger(library).setLevel(logging.ERROR)


def expanded(path: str) -> Path:
    """A path whose `~` is the home folder; somebody else's (`~name`) as the system lists it, else as it is."""
    if path == "~" or path.startswith("~/"):
        return home() / path[2:]
    return Path(os.path.expanduser(path))
