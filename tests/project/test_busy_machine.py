"""What a busy machine excuses at the retry of `make live`, and what it never does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import machine
from tests.machine import Watched
from tests.patience import PATIENCE_S
from tests.shared import ROOT

FAILS = """
import pytest
from tests import conftest, machine
conftest.OTHERS_MAY = {may}
@pytest.mark.{mark}
def test_that_fails():
    assert False
"""


def test_others_have_what_is_neither_ours_nor_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks, ours = iter([(0.0, 0.0), (1000.0, 400.0)]), iter([0.0, 3.0])
    monkeypatch.setattr(machine, "_ticks", lambda: next(ticks))
    monkeypatch.setattr(machine, "_ours_s", lambda: next(ours))
    monkeypatch.setattr("os.sysconf", lambda name: 100)
    assert Watched().others() == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("mark", "may", "words", "outcome"),
    [
        ("live", -1.0, ["--excuse-busy"], "1 skipped"),  # others had it: not judged
        ("live", 1.0, ["--excuse-busy"], "1 failed"),  # nobody else had it
        ("live", -1.0, [], "1 failed"),  # the first try is never excused, so that there is a second
        ("slow", -1.0, ["--excuse-busy"], "1 failed"),  # nothing that no clock decides is excused
    ],
)
def test_only_what_is_in_real_time_is_excused_and_only_at_the_retry(
    tmp_path: Path, mark: str, may: float, words: list[str], outcome: str
) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(FAILS.format(mark=mark, may=may))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.conftest",
        "-c",
        str(ROOT / "pyproject.toml"),
        "--rootdir",
        str(tmp_path),
        "-m",
        mark,
        str(file),
        *words,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert outcome in done.stdout, done.stdout + done.stderr
