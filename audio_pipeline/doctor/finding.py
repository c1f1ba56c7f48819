"""One line of `doctor`, and the command by which this system installs a package."""

from __future__ import annotations

import platform
from dataclasses import dataclass

INSTALLERS: dict[
    str, tuple[str, dict[str, str]]
] = {  # by what /etc/os-release calls the family: the command, and its names for what we ask for
    "debian": ("sudo apt-get install", {}),
    "fedora": ("sudo dnf install", {"libportaudio2": "portaudio", "pulseaudio": "pipewire-pulseaudio"}),
    "arch": ("sudo pacman -S", {"libportaudio2": "portaudio", "pulseaudio": "pipewire-pulse"}),
    "suse": ("sudo zypper install", {}),
}


@dataclass(frozen=True)
class Finding:
    """One line: `level` is `ok`, `lacks` (something does not work without it) or `could` (better with it)."""

    level: str
    what: str
    detail: str
    mend: str = ""


def install(package: str) -> str:
    """The command by which this system installs a package, named as Debian names it."""
    family = _family()
    command, names = INSTALLERS.get(family, INSTALLERS["debian"])
    return f"{command} {names.get(package, package)}"


def _family() -> str:
    """Which of INSTALLERS this system is like."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "debian"
    families = f"{release.get('ID', '')} {release.get('ID_LIKE', '')}"
    return next((family for family in INSTALLERS if family in families), "debian")
