"""Whoever sends faster than we read must not decide when we do anything else: no loop drains a socket for ever."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.shared import ROOT

ALLOWED = {
    "serving/pool_messages.py": "the bytes of one message, whose size is bounded",
    "links/waker.py": "bytes of our own threads, which only wake",
    "control/connection.py": "waits for one reply, until its deadline",
}


def drains(source: str) -> list[int]:
    """Lines of `while` loops that receive; a `for` over a range, also within one, says how often."""
    loops = [loop for loop in ast.walk(ast.parse(source)) if isinstance(loop, ast.While)]
    return [loop.lineno for loop in loops if any(_receives(node) for node in _within(loop))]


def _within(loop: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(loop):
        if not isinstance(node, ast.For):
            yield node
            yield from _within(node)


def _receives(node: ast.AST) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.startswith("recv")


@pytest.mark.parametrize("folder", ["audio_pipeline", "nodes", "models"])
def test_no_loop_receives_for_as_long_as_there_is_anything(folder: str) -> None:
    files = [path for path in (ROOT / folder).rglob("*.py") if not any(p.is_symlink() for p in path.parents)]
    assert files
    found = {str(path.relative_to(ROOT)): drains(path.read_text()) for path in files}
    bad = {name: lines for name, lines in found.items() if lines and name.partition("/")[2] not in ALLOWED}
    assert not bad


def test_the_search_finds_what_it_is_for() -> None:
    assert drains("while int(s.get(EVENTS)) & POLLIN:\n    s.recv()\nfor _ in range(9):\n    s.recv()") == [1]
    assert not drains("while True:\n    for _ in range(9):\n        s.recv()")
    assert drains("x = 1\nwhile s.poll(0):\n    recv_monitor_message(s)") == [2]
