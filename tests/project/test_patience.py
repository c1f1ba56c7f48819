"""`make test` depends on no clock: what a test waits for is bounded by PATIENCE_S, which is no deadline."""

from __future__ import annotations

import ast

import pytest

from tests.shared import ROOT

WAITS = {"wait", "get", "communicate", "acquire", "result"}  # `join` of a text or a thread: by name alone unknown
NAMES = {"timeout", "timeout_s", "timeout_ms"}
LEAST = 1.0  # below it nothing is waited for: that something does not come, or a look at what is there
LIVE = {
    "tests/devices/pulse.py": "a sound server",
    "tests/devices/test_sound.py": "a sound card in real time",
    "tests/relay.py": "a slow network, for proofs",
    "tests/nodes/test_sound_card.py": "a sound card in real time",
}


def deadlines(source: str) -> list[int]:
    """Lines that wait for so many seconds and no longer."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        given = [word.value for word in node.keywords if word.arg in NAMES]
        given += node.args[:1] if name in WAITS else []
        values = [value.value for value in given if isinstance(value, ast.Constant)]
        values += [_seconds(value) for value in node.args[:1] if name == "poll"]
        if any(_is_deadline(value) for value in values):
            found.append(node.lineno)
    return found


def _seconds(value: ast.expr) -> float | None:
    """What `poll` is given, in milliseconds."""
    is_number = isinstance(value, ast.Constant) and isinstance(value.value, (int, float))
    return value.value / 1000 if is_number else None


def _is_deadline(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= LEAST


def test_no_test_that_is_not_live_has_a_deadline() -> None:
    files = [path for path in (ROOT / "tests").rglob("*.py") if not {"proofs", "scenarios"} & set(path.parts)]
    found = {str(path.relative_to(ROOT)): lines for path in files if (lines := deadlines(path.read_text()))}
    assert not found.keys() - LIVE.keys(), found


@pytest.mark.parametrize(
    "code",
    [
        "child.wait(10)",
        "done.wait(5.0)",
        "f(timeout=60)",
        "q.get(timeout=2)",
        "socket.poll(5_000)",
        "g(timeout_s=1)",
    ],
)
def test_the_search_finds_what_it_is_for(code: str) -> None:
    assert deadlines(code)


@pytest.mark.parametrize("code", ["child.wait(PATIENCE_S)", "f(timeout=PATIENCE_S)", "gone.wait(0.0)", "d.get('a')"])
def test_the_search_leaves_the_others(code: str) -> None:
    assert not deadlines(code)
