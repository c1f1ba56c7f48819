"""What this host is: the lines that `doctor` and a report show."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version

from audio_pipeline.cpu import cores, processor

SHOWN_PACKAGES = ("audio-pipeline", "numpy", "pyzmq", "onnxruntime", "torch")


def machine() -> dict[str, str]:
    """Name and value of what a measurement depends on."""
    found = {
        "System": f"{os_name()}, Linux {platform.release()}" if platform.system() == "Linux" else platform.platform(),
        "Processor": f"{processor()}, {cores()} cores",
        "Memory": f"{memory_gib():.0f} GiB",
        "GPU": ", ".join(gpus()) or "none",
        "Python": platform.python_version(),
        "Packages": ", ".join(f"{name} {number}" for name, number in versions().items()),
    }
    return {name: value for name, value in found.items() if value}


def os_name() -> str:
    """Name and version of the distribution."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return platform.system()


def memory_gib() -> float:
    """Memory of the host."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def gpus() -> list[str]:
    """Names of the NVIDIA GPUs whose driver answers."""
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def versions() -> dict[str, str]:
    """Versions of the packages that decide how it sounds and how fast it is."""
    found = {}
    for name in SHOWN_PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
