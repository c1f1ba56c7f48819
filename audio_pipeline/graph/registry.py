"""Finds node kinds: by file name in `nodes/`, by entry point, or in the folders of a trusted pipeline file."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.node import Node

ENTRY_POINTS = "audio_pipeline.nodes"


def kind_names(node_paths: Sequence[Path] = ()) -> dict[str, str]:
    """Every known kind and where it is: a module name, an entry point or a file."""
    import audio_pipeline.nodes as package

    found = {info.name: f"{package.__name__}.{info.name}" for info in pkgutil.iter_modules(package.__path__)}
    found |= _installed()
    for folder in node_paths:
        found |= {file.stem: str(file) for file in sorted(folder.glob("*.py")) if not file.stem.startswith("_")}
    return found


@cache
def _installed() -> dict[str, str]:
    """Kinds of other packages; what is installed while we run is found by the next process."""
    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}


def kinds(node_paths: Sequence[Path] = ()) -> dict[str, type[Node]]:
    """Every known kind with its class, by name."""
    return {name: load_kind(name, node_paths) for name in sorted(kind_names(node_paths))}


def load_kind(name: str, node_paths: Sequence[Path] = ()) -> type[Node]:
    """The class of a kind. Raises ConfigError naming the nearest known kind."""
    known = kind_names(node_paths)
    if name not in known:
        raise ConfigError(f"unknown node kind {name!r}{nearest(name, known)}; known: {', '.join(sorted(known))}")
    return load_class(known[name])


def load_class(place: str) -> type[Node]:
    """The class at `module`, `module:class` or a file. Raises ConfigError."""
    module, _, attribute = place.partition(":")
    loaded = _load_file(Path(module)) if module.endswith(".py") else _load_module(module)
    cls = getattr(loaded, attribute or "NODE", None)
    if not (isinstance(cls, type) and issubclass(cls, Node)):
        raise ConfigError(f"{place} has no NODE = <a Node class>, got {cls!r}")
    return cls


def _load_module(name: str) -> ModuleType:
    """A module of ours, or one that an entry point names."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"{name} failed to load: {error}") from error


def _load_file(file: Path) -> ModuleType:
    """A module from a file, under a name of its own, so that it can shadow nothing."""
    name = f"audio_pipeline_user_{abs(hash(file.resolve())):x}_{file.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{file} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(f"{file} failed to load: {type(error).__name__}: {error}") from error
    return module
