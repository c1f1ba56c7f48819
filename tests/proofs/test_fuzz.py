"""A million inputs at every gate for bytes from outside: no crash, no hang, no growth."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.drive import read_now
from tests.fuzz.targets import TARGETS
from tests.shared import ROOT

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]

MILLION = 1_000_000
GUIDED = 0.2  # share of them that a coverage-guided fuzzer chooses, the rest is drawn
HANG_S = 20.0  # for one input; two shared cores are taken away for seconds at times
LOOK_S = 0.05
GROWN_BYTES = 8 << 20  # over all inputs of a target; allocators keep some, leaks know no bound
# Between two collections, over thousands of inputs. A supervisor's history of 2,000 events goes on being replaced, and
# of what was there before the tracing began nobody sees that it goes; a leak of 100 bytes an input is still found.
TRACED_BYTES = 256 << 10


def test_drawn_inputs_neither_crash_nor_hang_nor_grow(tmp_path: Path, proof_scale: float) -> None:
    """Mutations of what is right, in a process for each gate, watched from outside."""
    tried = 0
    for name, target in TARGETS.items():
        folder = tmp_path / name
        folder.mkdir()
        count = max(round(MILLION * (1 - GUIDED) * target.share * proof_scale), 200)
        began = time.monotonic()
        watched("tests.fuzz.drive", name, count, folder)
        told = json.loads((folder / "result.json").read_text())
        tried += told["count"]
        said(name, told, time.monotonic() - began)
    print(f"drawn: {tried} inputs at {len(TARGETS)} gates")


def said(name: str, told: dict[str, Any], seconds: float) -> None:
    """Prints and checks what a gate kept in memory."""
    grown, traced = told["rss_end"] - told["rss_warm"], told["traced_end"] - told["traced_half"]
    print(
        f"{name}: {told['count']} inputs in {seconds:.0f} s; RSS {grown / 1024:+.0f} KiB over {told['grown_inputs']}, "
        f"allocated {traced / 1024:+.1f} KiB over {told['traced_inputs']}"
    )
    assert grown < GROWN_BYTES, f"{name} grows: {grown} bytes over {told['grown_inputs']} inputs"
    assert traced < TRACED_BYTES + 2 * told["traced_inputs"], f"{name} keeps {traced} bytes"


def test_inputs_chosen_by_coverage_neither_crash_nor_hang(tmp_path: Path, proof_scale: float) -> None:
    """libFuzzer looks for inputs that reach new code; it has a time limit of its own for each, and so has this."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed (the extra fuzz)")
    tried = 0
    for name, target in TARGETS.items():
        folder = tmp_path / name
        folder.mkdir()
        count = max(round(MILLION * GUIDED * target.share * proof_scale), 100)
        began = time.monotonic()
        printed = watched("tests.fuzz.guided", name, count, folder)
        tried += count
        print(f"{name}: {count} inputs in {time.monotonic() - began:.0f} s, {features(printed)}")
        assert not list(folder.glob("crash-*")), printed[-3000:]
    print(f"coverage-guided: {tried} inputs at {len(TARGETS)} gates")


def features(printed: str) -> str:
    """How much code libFuzzer says it has reached."""
    lines = [line for line in printed.splitlines() if " ft: " in line and " corp: " in line]
    return " ".join(lines[-1].split()[1:8]) if lines else "nothing new reached"


def watched(module: str, name: str, count: int, folder: Path) -> str:
    """Runs a fuzzer; the input that hangs or kills it is named. Returns what it printed."""
    command = [sys.executable, "-W", "error", "-m", module, name, str(count), "7", str(folder)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        hung = not ends(process, folder / "now", count)
    finally:
        process.kill()
        process.wait()
    printed = (folder / "log").read_text(errors="replace")
    number, data = read_now(folder / "now")
    assert not hung, f"{name} hangs at input {number}: {data!r}"
    ended = f"{name} ended with {process.returncode} at input {number}: {data!r}"
    assert process.returncode == 0, f"{ended}\n{printed[-3000:]}"
    return printed


def ends(process: subprocess.Popen[bytes], now: Path, count: int) -> bool:
    """True when it has ended; False when one input took too long. The guided one watches its own inputs."""
    whole_s = time.monotonic() + 60 + count * 0.05
    since, number = time.monotonic(), -1
    while process.poll() is None:
        time.sleep(LOOK_S)
        found = read_now(now)[0]
        if found != number:
            since, number = time.monotonic(), found
        late = time.monotonic() > (since + HANG_S if now.exists() else whole_s)
        if late and number != count:
            return False
    return True
