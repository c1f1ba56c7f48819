"""Other interpreters: what `python:` names, whether a worker can run there, and how it is started."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from audio_pipeline.errors import ConfigError
from audio_pipeline.graph.types import Graph, NodeSpec
from audio_pipeline.settings import fail

PACKAGE = Path(__file__).parents[1]
OWN = "audio_pipeline"
USER = "audio_pipeline_user_"  # modules that were loaded from a file in `node_paths`
PROBE_S = 60.0
OLDEST, NEWEST = (3, 10), (3, 14)
NEEDED = {  # as it is imported: how pip calls it, and the oldest version that is known to work
    "numpy": ("numpy", (1, 23)),
    "zmq": ("pyzmq", (25,)),
    "msgpack": ("msgpack", (1,)),
}
_whole: dict[str, dict[str, str | None]] = {}  # interpreters that have all they need


def check_interpreters(graph: Graph) -> None:
    """Asks every interpreter of the graph what it has. Raises ConfigError with the command that mends it."""
    for spec in graph.nodes.values():
        if spec.keys.python is not None:
            problem = _lacks(spec.keys.python)
            if problem:
                raise fail(("nodes", spec.name, "python"), problem, graph.places)
            _check_rates(graph, spec)


def _check_rates(graph: Graph, producer: NodeSpec) -> None:
    """Producers convert for consumers under another interpreter; one that runs under such itself may be unable to."""
    rate = _input_rate(graph, producer, next(iter(producer.inputs), ""))
    for spec in graph.nodes.values() if _found(producer.keys.python or "").get("soxr") is None else ():
        for name, link in spec.inputs.items():
            wanted = _input_rate(graph, spec, name)
            if spec.keys.python and link.source.node == producer.name and wanted != rate:
                problem = (
                    f"its input rate is {wanted} Hz, {producer.name} sends {rate} Hz, and neither's interpreter has "
                    f"soxr to convert: {producer.keys.python} -m pip install soxr"
                )
                raise fail(graph.input_path(spec.name, name), problem, graph.places)


def _input_rate(graph: Graph, spec: NodeSpec, name: str) -> int:
    return spec.cls(spec.settings).input_rate(name, graph.rate) if name else graph.rate


def command(python: str | None, roots: Sequence[str] = ()) -> list[str]:
    """The command that starts a worker under `python`, or under ours; its parent's id follows."""
    if python is None:
        return [sys.executable, "-m", f"{OWN}.worker.main"]
    return [python, "-I", str(PACKAGE / "worker" / "bootstrap.py"), os.pathsep.join([f"{OWN}={PACKAGE}", *roots])]


def roots(specs: Sequence[NodeSpec]) -> list[str]:
    """`name=folder` of the packages, besides ours, that hold the nodes' kinds: those of entry points."""
    names = {spec.cls.__module__.partition(".")[0] for spec in specs}
    return [f"{name}={_folder(name)}" for name in sorted(names) if name != OWN and not name.startswith(USER)]


def kind_at(spec: NodeSpec) -> str:
    """Where another interpreter finds a kind that an entry point of our environment names; else empty."""
    module = spec.cls.__module__
    if spec.keys.python is None or module.partition(".")[0] == OWN or module.startswith(USER):
        return ""
    return f"{module}:{spec.cls.__qualname__}"


def _folder(package: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.origin:
        raise ConfigError(f"package {package!r} has no folder that another interpreter could import it from")
    origin = Path(spec.origin)
    return str(origin.parent if origin.name == "__init__.py" else origin)


def _lacks(python: str) -> str:
    """What keeps a worker from running there, with the command that mends it; empty where nothing does."""
    try:
        found = _found(python)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"{python!r} is no Python interpreter that starts ({_reason(error)})"
    version = _numbers(str(found.get("python")))
    if not OLDEST <= version[:2] <= NEWEST:
        return (
            f"{python!r} is Python {found.get('python')}, expected {_dotted(OLDEST)} to {_dotted(NEWEST)}: "
            f"make the environment with one of these"
        )
    wanted = [
        f"{pip}>={_dotted(least)}"
        for name, (pip, least) in NEEDED.items()
        if found.get(name) is None or _numbers(str(found[name])) < least
    ]
    if not wanted:
        _whole[python] = found
        return ""
    lacking = ", ".join(wanted)
    return f"{python!r} lacks {lacking}: {python} -m pip install {' '.join(repr(item) for item in wanted)}"


def _found(python: str) -> dict[str, str | None]:
    """Version of the interpreter and of its packages, by name; asked again until nothing is missing."""
    if python in _whole:
        return _whole[python]
    done = subprocess.run(
        [python, "-I", str(PACKAGE / "worker" / "bootstrap.py"), "--probe"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PROBE_S,
        check=True,
        text=True,
    )
    found: dict[str, str | None] = json.loads(done.stdout.strip().rpartition("\n")[2])
    if not isinstance(found, dict):
        raise ValueError("it printed something else than a map")
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"exit code {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no answer within {PROBE_S:g} s"
    return error.strerror or str(error) if isinstance(error, OSError) else "it does not answer as Python does"


def _numbers(version: str) -> tuple[int, ...]:
    """`1.26.4` as (1, 26, 4); what is no number ends it."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found.group().split("."))) if found else ()


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))
