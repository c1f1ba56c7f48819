"""A thread that dies alone leaves a process that looks alive: `audio_pipeline.threads` is the one way to start one."""

from __future__ import annotations

import ast

import pytest

from tests.shared import ROOT

STARTERS = {
    "Thread",
    "Timer",
    "ThreadPoolExecutor",
    "ThreadPool",
    "start_new_thread",
    "ThreadingMixIn",
    "ThreadingHTTPServer",
    "ThreadingTCPServer",
    "to_thread",
    "run_in_executor",
}
ALLOWED = {
    "threads.py": "the one way",
    "observe/exporter.py": "a thread for each request, whose error is that of its client",
}


def starts(source: str) -> list[int]:
    """Lines that start a thread by themselves, or inherit from what does; imports and annotations start none."""
    tree = ast.parse(source)
    used = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    used += [base for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases]
    names = [(name.lineno, name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", "")) for name in used]
    renamed = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, (ast.ImportFrom, ast.Import))
        for alias in node.names
        if alias.name in STARTERS and alias.asname
    }
    return sorted(line for line, name in names if name in STARTERS | renamed)


@pytest.mark.parametrize("folder", ["audio_pipeline", "nodes", "models", "run_pipeline.py"])
def test_threads_start_in_one_place(folder: str) -> None:
    files = (
        [ROOT / folder]
        if folder.endswith(".py")
        else [path for path in (ROOT / folder).rglob("*.py") if not any(p.is_symlink() for p in path.parents)]
    )
    assert files
    found = {str(path.relative_to(ROOT)): starts(path.read_text()) for path in files}
    bad = {name: lines for name, lines in found.items() if lines and name.partition("/")[2] not in ALLOWED}
    assert not bad


def test_the_search_finds_what_it_is_for() -> None:
    assert starts("import threading\nthreading.Thread(target=f)\nt: threading.Thread | None = None") == [2]
    assert starts("from threading import Timer as Later\nLater(1, f)\nclass Server(ThreadingMixIn): ...") == [2, 3]
    assert starts("with ThreadPoolExecutor(1) as pool: ...\n_thread.start_new_thread(f, ())") == [1, 2]
