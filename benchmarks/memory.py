"""What a run of a pipeline takes of memory: by process, and by kind of mapping.

`python benchmarks/memory.py [SECONDS [PIPELINE [KEY=VALUE...]]]` plays karaoke as it is shipped, without a sound card.
PSS divides what processes share among them, so its sum is what the run takes; USS is what nobody shares. The base is
what a process that forks workers and one light node have in common. Linux.
"""

from __future__ import annotations

import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from audio_pipeline.control.client import Client
from audio_pipeline.cpu import cores, processor
from audio_pipeline.errors import ControlError
from audio_pipeline.host import runtime

SETTLE_S = 12.0  # spare processes have imported what they wait with, and the burst of the song is over
START_S = 120.0
LOOK_S = 0.1
SILENT = 'nodes.speaker.device="null"'
KINDS = ("python", "libraries", "models", "heap", "anonymous", "stack", "shared", "other")
MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+\s*(.*)$")


@dataclass
class Memory:
    """Of one process, in kB."""

    name: str
    pss: int = 0
    uss: int = 0
    rss: int = 0
    kinds: Counter[str] = field(default_factory=Counter)  # PSS


def kind_of(path: str) -> str:
    """What a mapping holds, by the file that it maps.

    >>> [kind_of(path) for path in ("", "[heap]", "/lib/libc.so.6", "/dev/shm/x", "/models/a.onnx")]
    ['anonymous', 'heap', 'libraries', 'shared', 'models']
    """
    if not path:
        return "anonymous"
    if path.startswith("["):
        return {"[heap]": "heap", "[stack]": "stack"}.get(path, "anonymous" if path.startswith("[anon") else "other")
    if path.startswith(("/dev/shm", "/memfd", "/run")):
        return "shared"
    if re.search(r"/python[0-9.]*$", path):
        return "python"
    if ".so" in path:
        return "libraries"
    return "models" if re.search(r"\.(onnx|npz|bin|safetensors|ort)$", path) else "other"


def memory(pid: int, name: str) -> Memory:
    """Adds up the mappings of a process. Raises OSError where it has gone."""
    found, kind = Memory(name), "other"
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8", errors="replace").splitlines():
        mapping = MAPPING.match(line)
        if mapping:
            kind = kind_of(mapping.group(1))
            continue
        key, _, value = line.partition(":")
        if key == "Rss":
            found.rss += int(value.split()[0])
        elif key == "Pss":
            found.pss += int(value.split()[0])
            found.kinds[kind] += int(value.split()[0])
        elif key in ("Private_Clean", "Private_Dirty"):
            found.uss += int(value.split()[0])
    return found


def names(client: Client, root: int) -> dict[int, str]:
    """The processes of a run and what each of them is."""
    nodes: dict[int, list[str]] = {}
    for name, node in client.meters().nodes.items():
        if node.pid:
            nodes.setdefault(node.pid, []).append(name)
    found = {root: "supervisor, view, control"}
    for process in psutil.Process(root).children(recursive=True):
        with suppress(psutil.Error):
            found[process.pid] = "+".join(nodes.get(process.pid, ())) or _role(process.cmdline())
    return found


def _role(command: Sequence[str]) -> str:
    """What a process is that runs no node."""
    for word in command:
        if word.startswith("audio_pipeline."):
            return f"({word.removeprefix('audio_pipeline.')})"
    return f"({command[0] if command else '?'})"


@contextmanager
def playing(config: str, sets: Sequence[str]) -> Iterator[tuple[Client, int]]:
    """A run in a process of its own, some seconds after its clock has started: a client and the process's id."""
    with tempfile.TemporaryDirectory(prefix="ap-") as folder, tempfile.TemporaryDirectory() as takes:
        os.environ["XDG_RUNTIME_DIR"] = folder
        command = [sys.executable, "-m", "audio_pipeline", "run", config, "--no-view", "--folder", takes]
        for each in sets:
            command += ["--set", each]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            client = _client(process)
            yield client, process.pid
            client.close()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def _client(process: subprocess.Popen[bytes]) -> Client:
    until_s = time.monotonic() + START_S
    client: Client | None = None
    while time.monotonic() < until_s and process.poll() is None:
        for run in () if client else runtime.running():
            client = Client(run.control, run.token)
        with suppress(ControlError):  # it is starting
            if client is not None and client.meters().uptime_s > SETTLE_S:
                return client
        time.sleep(LOOK_S)
    raise SystemExit("the pipeline did not play")


def show(found: Sequence[Memory]) -> None:
    """Prints a table of processes and one of kinds, in MB of 1000 kB."""
    print(f"{'process':40} {'PSS':>7} {'USS':>7} {'RSS':>7} MB")
    for each in sorted(found, key=lambda one: -one.pss):
        print(f"{each.name:40} {each.pss * 1.024e-3:7.1f} {each.uss * 1.024e-3:7.1f} {each.rss * 1.024e-3:7.1f}")
    total = sum(each.pss for each in found) * 1.024e-3
    print(f"{f'all {len(found)}':40} {total:7.1f} {sum(each.uss for each in found) * 1.024e-3:7.1f}")
    print("PSS by kind of mapping, MB")
    print(f"{'':40} " + " ".join(f"{kind:>9}" for kind in KINDS))
    for each in sorted(found, key=lambda one: -one.pss):
        print(f"{each.name:40} " + " ".join(f"{each.kinds[kind] * 1.024e-3:9.1f}" for kind in KINDS))


def main() -> None:
    """Plays, looks once, prints."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
    config = sys.argv[2] if len(sys.argv) > 2 else "karaoke"
    sets = sys.argv[3:] or ([SILENT] if config == "karaoke" else [])
    print(f"{processor()}, {cores()} cores, {platform.platform()}, Python {platform.python_version()}")
    with playing(config, sets) as (client, root):
        time.sleep(seconds)
        found = []
        for pid, name in names(client, root).items():
            with suppress(OSError):
                found.append(memory(pid, name))
        show(found)


if __name__ == "__main__":
    main()
