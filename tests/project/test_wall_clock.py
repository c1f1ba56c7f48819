"""Sound knows no time of day: a clock that is set must not be heard. Who may look at it is listed here, with why."""

from __future__ import annotations

import ast

import pytest

from tests.shared import ROOT

ALLOWED = {
    "report/document.py": "the date on the page",
    "view/top.py": "a stamp on each line of machine-readable output",
    "supervisor/state.py": "when the worst frame was, for people",
    "host/runtime.py": "whether a folder without a lock is new, by its file time",
    "run/pipeline.py": "the name of a take's folder, and which files of it are new",
    "observe/journal.py": "stamps of the log",
    "cli/voices_keep.py": "when a voice was made, and when somebody agreed",
    "service/access.py": "until when a login or a cookie holds",
    "service/web/sessions_api.py": "when a session was made, for people",
    "view/top_page.py": "how long ago the worst frame was, for people",
}
WALL = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("time", "localtime")}


def looks(source: str) -> list[int]:
    """Lines that read the time of day."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in WALL
    ]


@pytest.mark.parametrize("folder", ["audio_pipeline", "nodes", "models"])
def test_only_what_is_for_people_reads_the_time_of_day(folder: str) -> None:
    files = [path for path in (ROOT / folder).rglob("*.py") if not any(p.is_symlink() for p in path.parents)]
    assert files
    found = {str(path.relative_to(ROOT)): looks(path.read_text()) for path in files}
    bad = {name: lines for name, lines in found.items() if lines and name.partition("/")[2] not in ALLOWED}
    assert not bad


def test_the_search_finds_what_it_is_for() -> None:
    assert looks("import time\nx = time.time()\ny = time.monotonic_ns()\nz = datetime.now()") == [2, 4]
