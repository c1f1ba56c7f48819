"""Keys that every node of a file accepts beside its kind's settings: where and how its process runs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from audio_pipeline.home import expanded
from audio_pipeline.places import Places
from audio_pipeline.settings import build, fail, setting

if TYPE_CHECKING:
    from audio_pipeline.graph.types import Graph

GROUP = re.compile(r"[a-z][a-z0-9_]{0,39}")
AUTO, OWN = "auto", "own"  # what `process:` may state besides the name of a group
ONLY_HERE = "selects the code that runs, so only a file on this host may state it"
SHARED = ("python", "cpus", "nice", "realtime", "memory_mb")  # of a process, so one for all nodes of a group


@dataclass(frozen=True)
class NodeKeys:
    """How one node is run; None and () leave it as the machine has it."""

    optional: bool = setting(False, "the rest runs without it if its device is missing")
    process: str | None = setting(
        None, "own, auto (linked light nodes share one), or a name: nodes with the same name share a process"
    )
    python: str | None = setting(None, "interpreter of another environment that runs it (only in files on this host)")
    cpus: tuple[int, ...] | None = setting(None, "processor cores that it may use", minimum=0)
    nice: int | None = setting(None, "priority among ordinary processes; lower goes first", minimum=-20, maximum=19)
    realtime: int | None = setting(None, "real-time priority (SCHED_RR), where allowed", minimum=1, maximum=99)
    memory_mb: float | None = setting(
        None,
        "limit for the memory of its process and children; beyond it the process is restarted",
        unit="MB",
        minimum=16,
    )
    start_s: float | None = setting(
        None, "longest time until it is ready; none: its kind's value", unit="s", minimum=0.1, maximum=86_400
    )
    bypass: bool = setting(False, "it runs, but its consumers get the bypass that its kind declares")


NAMES = tuple(field.name for field in fields(NodeKeys))


def build_keys(body: Mapping[str, object], path: tuple[str, ...], places: Places, base: Path) -> NodeKeys:
    """The keys in a node's map; `base` is what a relative `python:` starts from. Raises ConfigError."""
    keys = build(NodeKeys, {key: body[key] for key in body if key in NAMES}, path, places)
    if keys.process is not None and not GROUP.fullmatch(keys.process):
        reason = f"a group's name is a lower-case letter, then letters, digits or _; got {keys.process!r}"
        raise fail((*path, "process"), reason, places)
    _check_cpus(keys, path, places)
    return keys if keys.python is None else _with_python(keys, path, places, base)


def _check_cpus(keys: NodeKeys, path: tuple[str, ...], places: Places) -> None:
    if keys.cpus is None:
        return
    here = usable_cpus()
    known = ", ".join(map(str, here))
    if not keys.cpus:
        raise fail((*path, "cpus"), f"expected at least one of this host's cores ({known}), got none", places)
    for cpu in keys.cpus:
        if cpu not in here:
            raise fail((*path, "cpus"), f"this host lets us use the cores {known}, got {cpu}", places)


def usable_cpus() -> list[int]:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _with_python(keys: NodeKeys, path: tuple[str, ...], places: Places, base: Path) -> NodeKeys:
    """The interpreter as an absolute path; links stay, since an environment is known by the link's place."""
    python = _absolute(keys.python or "", base)
    if not python.is_file():
        reason = (
            f"there is no interpreter {str(python)!r}; make the environment first (python3 -m venv {_home(python)})"
        )
        raise fail((*path, "python"), reason, places)
    if not os.access(python, os.X_OK):
        raise fail((*path, "python"), f"{str(python)!r} may not be executed; expected a Python interpreter", places)
    return replace(keys, python=str(python))


def _absolute(python: str, base: Path) -> Path:
    return Path(os.path.abspath(base / expanded(python)))


def _home(python: Path) -> Path:
    return python.parent.parent if python.parent.name == "bin" else python.parent


def check_untrusted(base: Graph | None, raw: Mapping[str, object], places: Places) -> None:
    """What came over the network says nothing that decides which code runs on this host.

    `raw` is the whole file as wanted, `base` the graph that it changes, whose own keys it may repeat.
    Raises ConfigError.
    """
    known_paths = list(base.top.node_paths) if base else []
    if raw.get("node_paths", known_paths) != known_paths:
        raise fail(("node_paths",), ONLY_HERE, places)
    nodes = raw.get("nodes")
    for name, body in nodes.items() if isinstance(nodes, Mapping) else ():
        if isinstance(body, Mapping) and body.get("python") is not None and not _repeats(base, str(name), body):
            raise fail(("nodes", str(name), "python"), ONLY_HERE, places)


def _repeats(base: Graph | None, name: str, body: Mapping[str, object]) -> bool:
    """True where a node has the interpreter and the kind that the trusted graph gave it."""
    old = base.nodes.get(name) if base else None
    if base is None or old is None or old.keys.python is None or body.get("kind") != old.kind:
        return False
    home = base.file.parent if base.file else Path()
    return isinstance(body["python"], str) and str(_absolute(body["python"], home)) == old.keys.python
