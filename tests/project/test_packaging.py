"""Wheel, sdist and installed package: the linked folders become real ones, and no generic name leaks out."""

import json
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINKED = {"nodes": "*.py", "models": "*.py", "configs": "*.yaml"}
DATA = {"audio_pipeline/models/voices/fit.safetensors"}


def run(*command: str | Path, cwd: Path) -> str:
    """Run, return standard output, and show standard error when it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and, made from it, the wheel."""
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return folder


def linked_files() -> set[str]:
    """What a distribution must hold of the linked folders."""
    return DATA | {
        f"audio_pipeline/{name}/{path.relative_to(ROOT / name)}"
        for name, pattern in LINKED.items()
        for path in (ROOT / name).rglob(pattern)
    }


def wheel_names(folder: Path) -> set[str]:
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return set(wheel.namelist())


def test_links_are_relative_and_lead_to_the_top_level_folders() -> None:
    for name in LINKED:
        link = ROOT / "audio_pipeline" / name
        assert link.readlink() == Path("..") / name
        assert link.resolve() == ROOT / name


@pytest.mark.slow
def test_sdist_holds_the_linked_folders_as_files(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        members = {member.name.partition("/")[2]: member for member in sdist.getmembers()}
    assert linked_files() <= members.keys()
    assert all(member.isreg() or member.isdir() for member in members.values())
    assert {"constraints.txt", "LICENSE", "pyproject.toml", "run_pipeline.py"} <= members.keys()


@pytest.mark.slow
def test_wheel_holds_one_package_and_the_linked_folders(built: Path) -> None:
    names = wheel_names(built)
    assert linked_files() <= names
    assert {name.partition("/")[0] for name in names} == {"audio_pipeline", "audio_pipeline-0.1.0.dist-info"}
    assert "audio_pipeline/py.typed" in names


@pytest.mark.slow
def test_wheel_from_the_checkout_equals_the_wheel_from_the_sdist(built: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    assert wheel_names(tmp_path) == wheel_names(built)


@pytest.mark.slow
def test_installed_wheel_finds_its_nodes_and_configs(built: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(target)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import json, pkgutil, importlib.resources as r, audio_pipeline.nodes as nodes\n"
        "configs = sorted(c.name for c in (r.files('audio_pipeline') / 'configs').iterdir())\n"
        "kinds = sorted(module.name for module in pkgutil.iter_modules(nodes.__path__))\n"
        "print(json.dumps([nodes.__file__, kinds, configs]))"
    )
    origin, kinds, configs = json.loads(run(sys.executable, "-c", code, target, cwd=tmp_path))
    assert Path(origin).is_relative_to(target)
    assert kinds == sorted(p.stem for p in (ROOT / "nodes").glob("*.py") if p.stem != "__init__")
    assert {p.name for p in (ROOT / "configs").glob("*.yaml")} <= set(configs)


def test_installed_package_adds_no_generic_name(tmp_path: Path) -> None:
    code = (
        "import audio_pipeline, importlib.util as u\n"
        "print([name for name in ('nodes', 'models', 'configs') if u.find_spec(name)])"
    )
    assert run(sys.executable, "-c", code, cwd=tmp_path).strip() == "[]"


def test_command_is_installed() -> None:
    (script,) = distribution("audio-pipeline").entry_points.select(group="console_scripts")
    assert (script.name, script.value) == ("audio-pipeline", "audio_pipeline.cli.main:main")
