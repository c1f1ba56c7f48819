"""What the separation benchmarks share: reference audio, scores, tables and the line that names the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from audio_pipeline.models.separation import spleeter
from audio_pipeline.models.separation.engines import installed
from audio_pipeline.models.separation.types import Model

Array = np.ndarray[Any, np.dtype[np.float32]]

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("AUDIO_PIPELINE_SHARED", ROOT.parent / "shared")) / "data"
RATE = 44_100
OFFICIAL = {  # uSDR of official Spleeter 2.4.2, voice and band in dB, by excerpt
    "10": (7.27, 7.15),
    "12": (6.23, 13.42),
    "19": (7.37, 11.47),
    "24": (10.47, 17.48),
    "26": (10.01, 10.72),
    "41": (10.56, 13.90),
    "45": (7.05, 10.39),
    "48": (5.17, 10.95),
}


def read(name: str) -> Array:
    """Reference audio (samples, channels) as float32."""
    found: Array = soundfile.read(SHARED / name, dtype="float32", always_2d=True)[0]
    return found


def two_stems(precision: str = "fp32", engine: str = "auto") -> Model:
    """Spleeter with two stems on the CPU; in full precision unless told otherwise."""
    return spleeter.load("spleeter-2stems", device="cpu", precision=precision, engine=engine)


def agreement_db(reference: Array, estimate: Array) -> float:
    """Power of the reference over that of the difference."""
    signal = reference.astype(np.float64)
    return float(10 * np.log10(np.sum(signal**2) / np.sum((signal - estimate) ** 2)))


def usdr_db(reference: Array, estimate: Array) -> float:
    """SDR of the whole excerpt without any forgiving filter (MDX 2021): gain and delay errors count."""
    signal = reference.astype(np.float64)
    return float(10 * np.log10((np.sum(signal**2) + 1e-7) / (np.sum((signal - estimate) ** 2) + 1e-7)))


def machine() -> str:
    """One line that names what the numbers were measured on, and how busy it was."""
    names = [name for name in ("numpy", "onnxruntime", "openvino") if installed(name)]
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return (
        f"{os.cpu_count()} cores of {_processor()}, Python {platform.python_version()}, {packages}; "
        f"load at the start {load:.1f}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a markdown table row by row as the rows come."""
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head), flush=True)
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)
