"""Python environments for `python:`, made without a network: links to the packages that are here."""

from __future__ import annotations

import importlib.util
import sys
import venv
from pathlib import Path

THIN = ("numpy", "zmq", "msgpack")  # all that a node's process needs


def environment(folder: Path, packages: tuple[str, ...] = THIN) -> Path:
    """An interpreter that sees these packages and the standard library."""
    venv.create(folder, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "lib" / version / "site-packages"
    for name in packages:
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None
        package = Path(spec.origin).parent
        (site / name).symlink_to(package)
        for libraries in package.parent.glob(f"{'pyzmq' if name == 'zmq' else name}.libs"):
            (site / libraries.name).symlink_to(libraries)
    return folder / "bin" / "python"
