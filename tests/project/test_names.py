"""One meaning a name: names that the glossary in `docs/architecture.md` replaced do not come back."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPLACED = (
    "word words hear hears heard tell tells told say says said obey look looks farewell nursery brood bury glance "
    "guest guests door doors attendant room"
).split()
PARTS = re.compile(rf"(?:^|_)(?:{'|'.join(REPLACED)})(?:_|$)")
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# A word of a text is a word; `say` is a command; `tell` is the method of a file; keys of messages are what they are.
ALLOWED = {
    "audio_pipeline/cli/say.py": {"say"},
    "audio_pipeline/control/replies.py": {"heard", "heard_in_ms"},
    "audio_pipeline/files/media_file.py": {"tell"},
    "audio_pipeline/supervisor/node_requests.py": {"heard_in_ms"},
}
TEXTS = ("models/speech/", "models/voices/", "tests/models/")
PACKAGES = (
    *(
        f"audio_pipeline/{package}"
        for package in "align control devices doctor dsp files gateway graph host links observe report run serving "
        "supervisor view worker".split()
    ),
    "models",
    "nodes",
    *(f"tests/{folder}" for folder in "devices dsp files gateway models nodes scenarios serving".split()),
)


def defined(tree: ast.Module) -> Iterator[str]:
    """Names of classes and functions, in lower case with underscores."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield CAMEL.sub("_", node.name).lower()


def assigned(tree: ast.Module) -> Iterator[str]:
    """Names of functions that are no tests (a test's name is a sentence), of arguments, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("test_"):
            yield node.name
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.arg):
            yield node.arg


def replaced(path: Path, names: Callable[[ast.Module], Iterator[str]] = defined) -> list[str]:
    """What a file calls by a name that is no more."""
    place = path.relative_to(ROOT).as_posix()
    found = {name for name in names(ast.parse(path.read_text(encoding="utf-8"))) if PARTS.search(name.lower())}
    words = {name for name in found if place.startswith(TEXTS) and re.search(r"(?:^|_)words?(?:_|$)", name.lower())}
    return sorted(f"{place}: {name}" for name in found - words - ALLOWED.get(place, set()))


@pytest.mark.parametrize("part", ["audio_pipeline", "nodes", "models", "scripts"])
def test_no_replaced_name_is_defined(part: str) -> None:
    files = [path for path in (ROOT / part).rglob("*.py") if not any(above.is_symlink() for above in path.parents)]
    assert files and [line for path in files for line in replaced(path)] == []


@pytest.mark.parametrize("part", PACKAGES)
def test_no_replaced_name_is_given_to_a_variable(part: str) -> None:
    files = list((ROOT / part).rglob("*.py"))
    assert files and [line for path in files for line in replaced(path, assigned)] == []


@pytest.mark.parametrize("source", ["said = 1", "self._heard = 1", "def f(told): ...", "def hear(): ...", "ROOM = 1"])
def test_the_search_finds_such_variables(source: str) -> None:
    assert any(PARTS.search(name.lower()) for name in assigned(ast.parse(source)))


@pytest.mark.parametrize(
    "source", ["def _hear(): ...", "class NodeWords: ...", "def check_room(): ...", "def told(): ..."]
)
def test_the_search_finds_such_names(source: str) -> None:
    assert any(PARTS.search(name) for name in defined(ast.parse(source)))


@pytest.mark.parametrize("source", ["def crossword(): ...", "class Outlook: ...", "def essay(): ..."])
def test_the_search_leaves_other_names_alone(source: str) -> None:
    assert not any(PARTS.search(name) for name in defined(ast.parse(source)))
