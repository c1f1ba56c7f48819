"""Text files have a stated encoding: the locale of a host decides nothing about what we read and write (PEP 597).

Ruff finds calls of `open` without one (PLW1514), but not the methods of a path whose type it cannot see.
"""

from __future__ import annotations

import ast

import pytest

from tests.shared import ROOT

ARGUMENTS_BEFORE = {"read_text": 0, "write_text": 1}  # the encoding
FOLDERS = ("audio_pipeline", "models", "nodes", "benchmarks", "scripts", "examples")


def without_encoding(source: str) -> list[int]:
    """Lines of calls that read or write a text in the encoding of the locale.

    >>> without_encoding("path.read_text()\\npath.write_text(text, 'utf-8')\\npath.write_text(text)")
    [1, 3]
    """
    return [node.lineno for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and _is_bare(node)]


def _is_bare(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    before = ARGUMENTS_BEFORE.get(name)
    return (
        before is not None
        and len(call.args) <= before
        and not any(keyword.arg == "encoding" for keyword in call.keywords)
    )


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_text_is_read_and_written_in_a_stated_encoding(folder: str) -> None:
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in (ROOT / folder).rglob("*.py")
        for line in without_encoding(path.read_text(encoding="utf-8"))
    }
    assert not found
