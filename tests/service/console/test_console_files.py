"""What is served: vendored files as the lock has them, and a page that its own policy lets work."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.service.console.console_files import CONSOLE, IMPORT_MAP

LOCKS = [CONSOLE / "vendor" / "lock.json", Path(__file__).parent / "vendor" / "lock.json"]
OPEN_LICENCES = {"MIT", "Apache-2.0", "OFL-1.1", "MPL-2.0"}
IMPORT = re.compile(r"""^\s*(?:import|export)\b[^"';]*?from\s+"([^"]+)"|^\s*import\s+"([^"]+)\"""", re.MULTILINE)


def packages(lock: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=["console", "tests"])
def test_vendored_files_are_those_of_the_lock(lock: Path) -> None:
    listed = {name: entry["sha256"] for package in packages(lock) for name, entry in package["files"].items()}
    here = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in lock.parent.iterdir() if path != lock}
    assert here == listed


@pytest.mark.parametrize("lock", LOCKS, ids=["console", "tests"])
def test_each_package_has_a_version_and_its_licence_beside_it(lock: Path) -> None:
    for package in packages(lock):
        assert re.fullmatch(r"\d+\.\d+\.\d+", package["version"])
        assert package["licence"] in OPEN_LICENCES
        assert any(name.endswith(".LICENSE") for name in package["files"])


def imports(path: Path) -> list[str]:
    return [first or second for first, second in IMPORT.findall(path.read_text(encoding="utf-8"))]


def test_every_import_leads_to_a_file() -> None:
    found = IMPORT_MAP.search((CONSOLE / "index.html").read_bytes())
    assert found is not None
    mapped: dict[str, str] = json.loads(found[1])["imports"]
    assert all((CONSOLE / target.removeprefix("/console/")).is_file() for target in mapped.values())
    sources = [path for path in CONSOLE.rglob("*.js") if path.parent.name != "vendor"]
    missing = [
        f"{path.relative_to(CONSOLE)}: {name}"
        for path in sources
        for name in imports(path)
        if not (name in mapped or (name.startswith(".") and (path.parent / name).is_file()))
    ]
    assert not missing
    assert len(sources) > 50


def test_everything_is_imported_by_the_page_or_a_worker() -> None:
    roots = [CONSOLE / "app.js", *(CONSOLE / "audio").glob("*worke*.js"), *(CONSOLE / "audio").glob("*worklet*.js")]
    reached, waiting = set[Path](), roots
    while waiting:
        path = waiting.pop().resolve()
        if path not in reached:
            reached.add(path)
            waiting += [path.parent / name for name in imports(path) if name.startswith(".")]
    own = {path.resolve() for path in CONSOLE.rglob("*.js")}
    assert own - reached == set()


def test_the_page_has_nothing_that_its_policy_forbids() -> None:
    page = (CONSOLE / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*(?:src=|importmap))", page) == []
    assert re.findall(r"\s(?:style|on\w+)=|<style", page) == []
    assert not re.findall(r"""(?:src|href)="(?!/console/)""", page)
    for path in CONSOLE.rglob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|\beval\(|new Function|document\.write", text), path
        assert 'style="' not in text, path


def test_styles_refer_to_tokens() -> None:
    """One type scale, one set of colours: sizes of text and colours are written in one file only."""
    for path in (CONSOLE / "style").glob("*.css"):
        if path.name != "tokens.css":
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"font-size:(?!\s*var\(--text-)", text), path
            assert not re.search(r":[^;{]*#(?!000)[0-9a-f]{3,8}\b", text), path
