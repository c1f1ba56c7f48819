"""The unit tests of the console's JavaScript, one Python test a file; `node --test FILE` runs one alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.service.browser.node import NODE

FOLDER = Path(__file__).parent / "js"
FILES = sorted(path.name for path in FOLDER.glob("*.test.mjs"))


def test_there_are_tests() -> None:
    assert len(FILES) >= 7


@pytest.mark.parametrize("name", FILES)
def test_javascript(name: str) -> None:
    done = subprocess.run(
        [NODE, "--test", "--test-reporter=tap", name], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 0" not in done.stdout
