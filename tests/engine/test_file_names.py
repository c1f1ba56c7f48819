"""Names of files are never built from a text as somebody wrote it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.errors import ConfigError
from audio_pipeline.graph.load import build_graph
from audio_pipeline.host.file_names import file_name
from audio_pipeline.places import Places
from tests.engine.graphs import graph_of
from tests.shared import ROOT


@given(st.text(), st.integers(4, 100))
def test_any_text_becomes_a_name_of_one_part(text: str, most: int) -> None:
    name = file_name(text, most)
    assert 0 < len(name.encode()) <= most and name.isascii()
    assert not set(name) & set("/.\\\0 \n") and not name.startswith("-")


def test_names_that_are_names_stay() -> None:
    assert [file_name(name) for name in ("karaoke", "two_voices", "take-7")] == ["karaoke", "two_voices", "take-7"]


@pytest.mark.parametrize("name", ["\x1b]52;c;eA==\x07", "two\nlines", "x" * 101, "a\u202eb", "\ud800"])
def test_a_pipeline_is_called_something_that_can_be_shown(name: str) -> None:
    graph = graph_of("song: {kind: noise}")
    with pytest.raises(ConfigError, match="^name: expected up to 100 printable characters, got"):
        build_graph({**graph.raw, "name": name}, Places())


@pytest.mark.parametrize("name", ["host", "auto"])
def test_no_node_is_called_what_a_clock_is_called(name: str) -> None:
    """`clock: host` is the host's clock; its record lies beside those of devices."""
    with pytest.raises(ConfigError, match=f"a node cannot be named '{name}'"):
        graph_of(f"{name}: {{kind: noise}}")


def paths_of_names(source: str) -> list[int]:
    """Lines that build a path from the name of a graph as it stands in the file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            for inner in ast.walk(node.right):
                if isinstance(inner, ast.Attribute) and inner.attr == "name" and _is_graph(inner.value):
                    if not any(_is_made_safe(outer) and inner in ast.walk(outer) for outer in ast.walk(node.right)):
                        found.append(node.lineno)
    return found


def _is_graph(node: ast.expr) -> bool:
    return getattr(node, "id", getattr(node, "attr", "")) in ("graph", "top")


def _is_made_safe(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "file_name"


def test_no_path_is_built_from_the_name_of_a_pipeline() -> None:
    files = [path for path in (ROOT / "audio_pipeline").rglob("*.py") if "nodes" not in path.parts]
    bad = {str(path): lines for path in files if (lines := paths_of_names(_source(path)))}
    assert files and not bad


def _source(path: Path) -> str:
    source = path.read_text(encoding="utf-8")
    return source if re.search(r"(graph|top)\.name", source) else ""  # most need no closer look


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('Path("takes") / f"{graph.name}-{now}"', True),
        ("folder / self._sup.graph.name", True),
        ('Path("takes") / f"{file_name(graph.name)}-{now}"', False),
        ("folder / path.name", False),
    ],
)
def test_the_search_finds_what_it_is_for(line: str, found: bool) -> None:
    assert bool(paths_of_names(line)) == found
