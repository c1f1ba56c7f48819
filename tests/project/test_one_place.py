"""What is asked for in one place only: the home folder, and writing for people."""

from __future__ import annotations

import ast

import pytest

from tests.shared import ROOT

HOME_CALLS = {"home", "expanduser", "getuser", "getpwuid", "getpwnam"}
HOME_MAY = {"audio_pipeline/home.py"}
PRINT_MAY = {
    "audio_pipeline/worker/bootstrap.py": "JSON of our own for the supervisor, under any interpreter",
    "audio_pipeline/threads.py": "the last words of a process, beside its traceback",
}


def asked(source: str) -> set[str]:
    """Ways to a home folder in some code: `Path.home()`, `expanduser`, the list of users, $HOME."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in HOME_CALLS and ast.unparse(node.value) != "self":
            found.add(node.attr)
        if isinstance(node, ast.Constant) and node.value in ("HOME", "LOGNAME", "USER"):
            found.add(str(node.value))
    return found


def printed(source: str) -> list[int]:
    """Lines of some code that write to standard output or error past `audio_pipeline.terminal`."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.stdout.write", "sys.stderr.write")
    ]


def sources() -> dict[str, str]:
    """Code of the tree by its path."""
    found = [path for top in ("audio_pipeline", "nodes", "models") for path in (ROOT / top).rglob("*.py")]
    own = [path for path in found if not any(parent.is_symlink() for parent in path.parents)]
    return {str(path.relative_to(ROOT)): path.read_text() for path in own}


def test_one_module_asks_for_a_home_folder() -> None:
    assert {name for name, source in sources().items() if asked(source)} == HOME_MAY


def test_one_module_packs() -> None:
    """msgpack itself refuses the bytes of a file name that are no text."""
    found = {name for name, source in sources().items() if "msgpack.packb" in source or "msgpack.unpackb" in source}
    assert found == {"audio_pipeline/packed.py"}


def test_one_module_writes_for_people() -> None:
    """What was chosen elsewhere (names, words, errors of other hosts and files) must not steer a terminal."""
    found = {name: lines for name, source in sources().items() if (lines := printed(source))}
    assert not found.keys() - PRINT_MAY.keys(), found


@pytest.mark.parametrize("code", ["Path.home()", "os.path.expanduser('~')", "p.expanduser()", "os.environ['HOME']"])
def test_the_search_for_homes_finds_what_it_is_for(code: str) -> None:
    assert asked(code)


def test_the_search_for_prints_finds_what_it_is_for() -> None:
    assert printed("print(1)\nx.print(2)\nsys.stderr.write('3')") == [1, 3]
