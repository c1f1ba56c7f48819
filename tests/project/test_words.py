"""What must not be in a public tree: paths of somebody's machine, unpinned or redirected downloads."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MACHINE_PATH = re.compile(r"(?<![\w.~})])/(?:home|root|Users|tmp|work|workspace|mnt)/[\w.]")
PIN = re.compile(r"[A-Za-z0-9_.-]+==[\w.]+( ; python_version (<|>=) \"3\.\d+\")?")


def tracked() -> list[Path]:
    """Files of the tree that git has."""
    command = ["git", "ls-files", "-z"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.split("\0") if (path := ROOT / name).is_file()]


def text_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []


def test_no_path_of_a_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in tracked()
        for number, line in enumerate(text_lines(path), 1)
        if MACHINE_PATH.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("text", ["open('/{}/ann/a.wav')", "see /{}/x1", "file:///{}/x"])
@pytest.mark.parametrize("root", ["home", "root", "tmp", "work"])
def test_the_search_finds_such_paths(text: str, root: str) -> None:
    assert MACHINE_PATH.search(text.format(root))


@pytest.mark.parametrize("text", ["a.org/{}/x", "$XDG/{}/x", "tests/{}/x"])
@pytest.mark.parametrize("root", ["home", "root", "tmp", "work"])
def test_the_search_leaves_other_paths_alone(text: str, root: str) -> None:
    assert not MACHINE_PATH.search(text.format(root))


def test_constraints_are_pins_only() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not PIN.fullmatch(line)] == []
    assert "torch==2.13.0" in lines
