"""The list of sentences in README.md is the list of sentences there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILLED = {
    "NUMBER": "3",
    "TRACK": "voice",
    "PART": "mixer",
    "PIPELINE": "karaoke",
    "WORDS": "x",
    "NAME": "a.wav",
    "READER": "1688",
    "SONG": "26",
}


def written() -> dict[str, list[str]]:
    """Sentences in README.md with their capitals filled in, by Given, When and Then."""
    found: dict[str, list[str]] = {}
    for part in (HERE / "README.md").read_text().split("\n## ")[1:]:
        step, _, text = part.partition("\n")
        lines = [line[2:] for line in text.splitlines() if line.startswith("- ")]
        found[step.lower()] = [_filled(one) for line in lines for one in line.split(" / ")]
    return found


def _filled(sentence: str) -> str:
    for step, value in FILLED.items():
        sentence = sentence.replace(step, value)
    return sentence


def known() -> list[tuple[str, str]]:
    """(given, when or then; regular expression) of every sentence in conftest.py."""
    found = []
    for node in ast.parse((HERE / "conftest.py").read_text()).body:
        for call in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                found.append((call.func.id, _pattern(call.args[0])))
    return found


def _pattern(argument: ast.expr) -> str:
    if isinstance(argument, ast.Constant):
        return re.escape(str(argument.value))
    assert isinstance(argument, ast.Call) and isinstance(argument.func, ast.Attribute)
    text = ast.literal_eval(argument.args[0])
    if argument.func.attr == "re":
        return str(text)
    return ".+".join(re.escape(part) for part in re.split(r"\{[^}]*\}", text))


@pytest.mark.parametrize("step", ["given", "when", "then"])
def test_every_sentence_is_listed_and_every_listed_one_is_known(step: str) -> None:
    patterns = [pattern for kind, pattern in known() if kind == step]
    sentences = written()[step]
    assert [one for one in sentences if not any(re.fullmatch(pattern, one) for pattern in patterns)] == []
    assert [pattern for pattern in patterns if not any(re.fullmatch(pattern, one) for one in sentences)] == []
