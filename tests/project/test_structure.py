"""What `scripts/structure.py` counts and must stay as it is."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def structure() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("structure", ROOT / "scripts" / "structure.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["structure"] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def imports(structure: ModuleType) -> dict[str, set[str]]:
    """The modules that each module imports; imports for type checking count."""
    found = list(structure.sources(ROOT))
    names = [source.module for source in found]
    return {source.module: structure.imports(source, names) for source in found}


def test_no_import_cycle_has_more_than_two_files(structure: ModuleType, imports: dict[str, set[str]]) -> None:
    large = [group for group in structure.cycles(imports) if len(group) > 2]
    assert large == []


def test_no_part_of_the_supervisor_knows_the_whole(imports: dict[str, set[str]]) -> None:
    package = "audio_pipeline.supervisor."
    whole = {package + "supervisor", package + "assembly"}
    parts = {module for module in imports if module.startswith(package)} - whole
    assert len(parts) > 30
    assert [module for module in sorted(parts) if imports[module] & whole] == []


def test_the_search_finds_a_cycle(structure: ModuleType) -> None:
    assert structure.cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
