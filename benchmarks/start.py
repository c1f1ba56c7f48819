"""How long a run takes from the command to its first sound, by part.

`python benchmarks/start.py [TIMES [cold]]` starts karaoke as it is shipped, without a sound card. What is seen: the
runtime folder (the interpreter, the imports and the file are done), the forkserver's log (it is started), the log and
the board of each node (its process is there; it opens), the clock (all are ready), the first frame that the loudspeaker
took and the first that was not silent. With `cold` the kernel's page cache is dropped before each, which needs root.
"""

from __future__ import annotations

import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from audio_pipeline.control.client import Client
from audio_pipeline.cpu import cores, processor
from audio_pipeline.errors import ControlError
from audio_pipeline.host import runtime

DROP = Path("/proc/sys/vm/drop_caches")
LOOK_S = 0.005
START_S = 120.0
SOUND_DB = -80.0
SILENT = 'nodes.speaker.device="null"'


def _seen_files(folder: Path, seen: dict[str, float], began_s: float) -> None:
    for path in folder.iterdir():
        name = path.name
        if name == "forkserver.log" or name.startswith("worker-") or name.endswith(".board"):
            seen.setdefault(name, time.monotonic() - began_s)


def watched(process: subprocess.Popen[bytes], began_s: float) -> dict[str, float]:
    """Seconds from the command to what is seen of it, by name."""
    seen: dict[str, float] = {}
    client: Client | None = None
    while time.monotonic() - began_s < START_S and process.poll() is None:
        for run in runtime.running():
            seen.setdefault("folder", time.monotonic() - began_s)
            with suppress(OSError):
                _seen_files(run.path, seen, began_s)
            if client is None and (run.path / runtime.CONTROL).exists():
                client = Client(run.control, run.token)
        if client is not None and _plays(client, seen, began_s):
            client.close()
            return seen
        time.sleep(LOOK_S)
    raise SystemExit("the pipeline did not play")


def _plays(client: Client, seen: dict[str, float], began_s: float) -> bool:
    """Whether sound has come out; notes the clock's start."""
    with suppress(ControlError):
        meters = client.meters()
        now_s = time.monotonic() - began_s
        if meters.uptime_s:
            seen.setdefault("clock", now_s - meters.uptime_s)
        levels = meters.nodes["speaker"].levels_db or {}
        if max(levels.get("reference", ()), default=SOUND_DB) > SOUND_DB:
            seen.setdefault("sound", now_s)
    return "sound" in seen


def parts(seen: Mapping[str, float]) -> dict[str, float]:
    """Seconds of each part, one after the other."""
    logs = [at for name, at in seen.items() if name.startswith("worker-")]
    boards = {name.partition(".")[0]: at for name, at in seen.items() if name.endswith(".board")}
    first = boards.pop("split")
    marks = {
        "interpreter, imports, configuration": seen["folder"],
        "forkserver, until the first process": min(logs),
        "the other processes, until all nodes open": max(*logs, *boards.values(), first),
        "the slowest node is ready, the clock starts": seen["clock"],
        "first sound at the loudspeaker": seen["sound"],
    }
    ends = list(marks.values())
    return {name: at - before for (name, at), before in zip(marks.items(), [0.0, *ends], strict=False)}


def once(*, cold: bool) -> tuple[dict[str, float], float]:
    """One start: its parts, and the whole."""
    if cold:
        os.sync()
        DROP.write_text("3\n", encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="ap-") as folder, tempfile.TemporaryDirectory() as takes:
        os.environ["XDG_RUNTIME_DIR"] = folder
        command = [sys.executable, "-m", "audio_pipeline", "run", "karaoke", "--no-view", "--folder", takes]
        began_s = time.monotonic()
        process = subprocess.Popen([*command, "--set", SILENT], stdout=subprocess.DEVNULL)
        try:
            seen = watched(process, began_s)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
    return parts(seen), seen["sound"]


def main() -> None:
    """Prints the median of each part."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    cold = "cold" in sys.argv[2:]
    print(f"{processor()}, {cores()} cores, {platform.platform()}, Python {platform.python_version()}")
    print(f"{'cold' if cold else 'warm'} page cache, median of {times} (least, most)")
    found = [once(cold=cold) for _ in range(times)]
    for name in found[0][0]:
        _show(name, [each[name] for each, _ in found])
    _show("in all", [whole for _, whole in found])


def _show(name: str, seconds: list[float]) -> None:
    print(f"{name:46} {statistics.median(seconds):6.2f} s ({min(seconds):.2f}, {max(seconds):.2f})")


if __name__ == "__main__":
    main()
