"""What this host has and lacks, each lack with the command that mends it."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from audio_pipeline.cpu import cores, processor
from audio_pipeline.doctor.finding import Finding, install
from audio_pipeline.doctor.separation import separation
from audio_pipeline.doctor.sound import sound
from audio_pipeline.errors import PipelineError
from audio_pipeline.host import machine

MARKS = {"ok": "✓", "lacks": "✗", "could": "·"}
PIP = f"{Path(sys.executable)} -m pip install"


def lines(found: Iterable[Finding]) -> Iterator[str]:
    """Findings as text, the command that mends below each lack."""
    for finding in found:
        yield f"{MARKS[finding.level]} {finding.what:<15} {finding.detail}"
        if finding.mend:
            yield f"  {'':<15} → {finding.mend}"


def findings() -> Iterator[Finding]:
    """Every check, in the order in which a newcomer meets it."""
    yield python()
    yield from packages()
    yield host()
    yield runtime_folder()
    yield from sound()
    yield gpu()
    yield from separation()
    yield from tools()
    yield from voices()
    yield from weights()


def python() -> Finding:
    """The interpreter."""
    number = ".".join(map(str, sys.version_info[:3]))
    if (3, 10) <= sys.version_info[:2] < (3, 15):
        return Finding("ok", "Python", f"{number} ({sys.executable})")
    return Finding("lacks", "Python", f"{number}, expected 3.10 to 3.14", install("python3.12"))


def packages() -> Iterator[Finding]:
    """The distributions that the project requires, and PyTorch."""
    missing, count = [], 0
    for line in requires("audio-pipeline") or []:
        requirement, _, marker = line.partition(";")
        if "extra" in marker:
            continue
        count += 1
        if problem := _lack(requirement.strip()):
            missing.append(problem)
    if missing:
        yield Finding("lacks", "packages", f"missing: {', '.join(missing)}", f"{PIP} {' '.join(map(repr, missing))}")
    else:
        yield Finding("ok", "packages", f"all {count} that are required")
    torch = _version("torch")
    yield (
        Finding("ok", "PyTorch", torch)
        if torch
        else Finding(
            "could",
            "PyTorch",
            "not installed; only a GPU needs it",
            f"{PIP} 'torch>=2.6'",
        )
    )


def _lack(requirement: str) -> str:
    """The requirement where it is not met, else nothing; only lower bounds are in use."""
    name, *bound = re.split(r"[>~]=", requirement)
    found = _version(name)
    met = found is not None and _numbers(found) >= _numbers("".join(bound))
    return "" if met else requirement


def _version(name: str) -> str | None:
    try:
        return version(name.strip())
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> list[int]:
    """
    >>> _numbers("2.0.14.post1") >= _numbers("2.0.14")
    True
    """
    return [int(number) for number in re.findall(r"\d+", text)]


def host() -> Finding:
    """Processor and memory."""
    count, gib = cores(), machine.memory_gib()
    detail = f"{processor()}, {count} core{'s' * (count > 1)}, {gib:.0f} GiB"
    if count < 2:
        return Finding("could", "processor", f"{detail}; live separation needs two cores")
    return Finding("ok", "processor", detail)


def runtime_folder() -> Finding:
    """Where running pipelines have their sockets: private, and short enough for a socket's path."""
    from audio_pipeline.host.runtime import base_dir

    try:
        path = base_dir()
    except (PipelineError, OSError) as error:
        return Finding("lacks", "runtime folder", str(error), "export XDG_RUNTIME_DIR=$(mktemp -d)")
    free_mb = shutil.disk_usage(path).free / 1e6
    if len(str(path)) > 50:  # ipc paths hold 107 characters, of which a pipeline's own part takes up to 57
        return Finding(
            "lacks",
            "runtime folder",
            f"{path} is too long for socket paths",
            "export XDG_RUNTIME_DIR=/run/user/$(id -u)",
        )
    return Finding("ok", "runtime folder", f"{path}, {free_mb:.0f} MB free")


def gpu() -> Finding:
    """An NVIDIA GPU, and whether the installed PyTorch can use it."""
    names = machine.gpus()
    if not names:
        return Finding("could", "GPU", "none; models run on the CPU")
    if _version("torch") is None:
        return Finding("could", "GPU", f"{names[0]}, unused without PyTorch", f"{PIP} 'torch>=2.6'")
    import torch

    if not torch.cuda.is_available():
        return Finding(
            "could",
            "GPU",
            f"{names[0]}, but PyTorch {torch.__version__} has no CUDA",
            f"{PIP} --force-reinstall torch",
        )
    return Finding("ok", "GPU", f"{', '.join(names)}, CUDA {torch.version.cuda}")


def tools() -> Iterator[Finding]:
    """Programs that are useful beside the pipeline."""
    path = shutil.which("ffmpeg")
    if path:
        yield Finding("ok", "ffmpeg", path)
    else:
        yield Finding("could", "ffmpeg", "not installed; files are read without it (PyAV)", install("ffmpeg"))


def voices() -> Iterator[Finding]:
    """The enrolled voices, and what this host asks of made ones."""
    from audio_pipeline.models.voices.enrolled import Library
    from audio_pipeline.models.voices.policy import read_policy

    library = Library()
    try:
        for id_, reason in library.damaged().items():
            yield Finding("could", "voices", reason, f"audio-pipeline voices delete {id_}")
        yield Finding("ok", "voices", f"{len(library.records())} enrolled in {library.folder}")
    except PipelineError as error:
        yield Finding("lacks", "voices", str(error))
    try:
        policy = read_policy()
    except PipelineError as error:
        yield Finding("lacks", "voice policy", str(error))
        return
    off = [f"{what} is off" for what, on in (("the mark", policy.watermark), ("consent", policy.consent)) if not on]
    detail = f"{' and '.join(off)} ({policy.path})" if off else "made speech is marked, voices need consent"
    yield Finding("could" if off else "ok", "voice policy", detail)


def weights() -> Iterator[Finding]:
    """What of the model registry is here."""
    from audio_pipeline.models.weights.store import status

    for state in status():
        if state.place:
            yield Finding("ok", state.asset.name, f"{state.asset.what} ({state.place}, {state.bytes / 1e6:.1f} MB)")
        else:
            yield Finding(
                "could",
                state.asset.name,
                f"{state.asset.what}: not here, fetched at first use",
                f"audio-pipeline models fetch {state.asset.name}",
            )
