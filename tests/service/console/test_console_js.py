"""The unit tests of the console's own JavaScript, one Python test a file."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.service.browser.node import NODE

FOLDER = Path(__file__).parent / "js"
FILES = sorted(path.name for path in FOLDER.glob("*.test.mjs"))


@pytest.mark.parametrize("name", FILES)
def test_javascript(name: str) -> None:
    command = [NODE, "--test", "--test-reporter=tap", name]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 0" not in done.stdout
