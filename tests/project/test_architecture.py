"""The arrows between the parts, and what importing them costs."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

ROOT = Path(__file__).resolve().parents[2]
CORE_PACKAGES = ["msgpack", "numpy", "psutil", "soxr", "yaml", "zmq"]
MAY_IMPORT = {
    "dsp": {"dsp", "errors"},
    "models": {"cpu", "dsp", "errors", "home", "models", "private_file", "terminal", "threads"},
    "nodes": {
        "clock",
        "context",
        "devices",
        "dsp",
        "errors",
        "files",
        "frame",
        "gateway",
        "models",
        "node",
        "serving",
        "settings",
        "threads",
    },
}

# Imports the engine and every node with all third-party packages but the core ones hidden. A module of io or
# models stands for a package and may import it: the nodes are what must wait for open() to import either.
PROBE = """
import importlib, json, pkgutil, sys
from importlib.metadata import packages_distributions

hidden = set(packages_distributions()) - set(sys.argv[1].split(",")) - {"audio_pipeline"}

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"{name} is not a core package", name=name)

sys.meta_path.insert(0, Hide())
import audio_pipeline
own_gate = ("audio_pipeline.devices.", "audio_pipeline.files.", "audio_pipeline.gateway.", "audio_pipeline.models.",
            "audio_pipeline.service.")
failed, found = {}, 0
for module in pkgutil.walk_packages(audio_pipeline.__path__, "audio_pipeline."):
    if module.name.startswith(own_gate) or module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
        found += 1
    except ImportError as error:
        failed[module.name] = str(error)
print(json.dumps({"failed": failed, "found": found, "origin": audio_pipeline.__file__}))
"""


@pytest.fixture
def hostile_folder(tmp_path: Path) -> Path:
    """A working directory whose packages carry the names of our top-level folders."""
    for name in ("nodes", "models", "configs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise RuntimeError('{name} of the working directory')")
    return tmp_path


def test_engine_and_nodes_import_with_the_core_packages_alone_from_any_folder(hostile_folder: Path) -> None:
    command = [sys.executable, "-c", PROBE, ",".join(CORE_PACKAGES)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    probe = subprocess.run(command, cwd=hostile_folder, env=env, capture_output=True, text=True, check=True)
    result = json.loads(probe.stdout)
    assert result["failed"] == {}
    assert result["found"] >= len(list((ROOT / "nodes").glob("*.py")))
    assert Path(result["origin"]).is_relative_to(ROOT)


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("audio_pipeline", include_external_packages=True, cache_dir=None)


def our_imports(graph: grimp.ImportGraph, part: str) -> Iterator[tuple[str, str]]:
    """Pairs of a module in `part` and the part of the project that it imports."""
    for module in sorted(graph.find_descendants(f"audio_pipeline.{part}")):
        for imported in graph.find_modules_directly_imported_by(module):
            if imported.startswith("audio_pipeline."):
                yield module, imported.split(".")[1]


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_arrows_point_down(graph: grimp.ImportGraph, part: str) -> None:
    wrong = [pair for pair in our_imports(graph, part) if pair[1] not in MAY_IMPORT[part]]
    assert wrong == []


def declared(extra: str | None) -> set[str]:
    """Distribution names, normalised, that pyproject.toml requires: always, or for `extra`."""
    core = ProjectMetadata(str(ROOT), PluginManager()).core
    lines = core.optional_dependencies[extra] if extra else core.dependencies
    return {normalised(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in lines}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions_by_package() -> dict[str, set[str]]:
    """Distributions, normalised, by the top-level package they install (Python 3.10 has no complete answer)."""
    found: dict[str, set[str]] = defaultdict(set)
    for distribution in importlib.metadata.distributions():
        name = normalised(distribution.name)
        for line in (distribution.read_text("RECORD") or "").splitlines():
            found[re.split(r"[/.,]", line, maxsplit=1)[0]].add(name)
    return found


def imported_distributions(graph: grimp.ImportGraph) -> set[str]:
    """Distributions, normalised, behind every import of the project that is not of the standard library."""
    outside = {module for module in graph.modules if graph.is_module_squashed(module)}
    installed = distributions_by_package()
    return {name for module in outside - sys.stdlib_module_names for name in installed.get(module, {module})}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported(graph: grimp.ImportGraph) -> None:
    imported = imported_distributions(graph)
    elsewhere = {"spleeter", "tensorflow", "TTS", "coqui-tts"}  # in interpreters of their own: environments/*.txt
    assert imported - declared(None) - declared("gpu") - declared("openvino") - declared("serve") - elsewhere == set()
    asked_for = {"librosa"}  # for nodes of people's own; what ours need of it is in dsp, compared with it in tests
    assert declared(None) - imported == asked_for
