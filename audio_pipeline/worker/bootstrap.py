"""Runs a worker under another interpreter: `python -I bootstrap.py ROOTS PARENT_PID [MODULE...]`.

That interpreter sees its own packages and exactly the packages named in ROOTS (`name=folder`, joined by the
path separator): this engine, and those whose entry points name a kind. Nothing else of the environment that the
supervisor runs in gets onto its path, so two versions of numpy never meet. With `--probe` it prints what the
interpreter has, as JSON. Only the standard library is used, and nothing that Python 3.6 cannot read.
"""

import importlib
import importlib.abc
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

ASKED = ("numpy", "zmq", "msgpack", "soxr")


class Roots(importlib.abc.MetaPathFinder):
    """Finds the named packages in their folders; first, so that no other version of them is taken."""

    def __init__(self, folders: "dict[str, str]") -> None:
        self.folders = folders

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """The package at the top; what is inside it is found through its own path."""
        folder = self.folders.get(name)
        if folder is None:
            return None
        start = os.path.join(folder, "__init__.py")
        if not os.path.isfile(start):  # a single module
            return importlib.util.spec_from_file_location(name, folder)
        return importlib.util.spec_from_file_location(name, start, submodule_search_locations=[folder])


def probe() -> "dict[str, str | None]":
    """Version of the interpreter and of each package that a worker needs or can use; None where it is missing."""
    found = {"python": "{}.{}".format(*sys.version_info[:2])}  # type: dict[str, str | None]
    for name in ASKED:
        try:
            module = importlib.import_module(name)
        except Exception:  # noqa: BLE001 - a package built for another numpy fails in its own ways
            found[name] = None
            continue
        version = getattr(module, "__version__", None) or getattr(module, "version", "0")
        found[name] = ".".join(map(str, version)) if isinstance(version, tuple) else str(version)
    return found


def main() -> int:
    """Entry point."""
    if sys.argv[1] == "--probe":
        print(json.dumps(probe()))
        return 0
    pairs = [item.partition("=") for item in sys.argv.pop(1).split(os.pathsep)]
    sys.meta_path.insert(0, Roots({name: folder for name, _, folder in pairs}))
    worker = importlib.import_module("audio_pipeline.worker.main")
    return int(worker.main())


if __name__ == "__main__":
    sys.exit(main())
