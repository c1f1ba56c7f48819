"""`audio-pipeline leftovers`: what pipelines that are gone left on this host, and services that pipelines share."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from audio_pipeline.host import runtime
from audio_pipeline.host.strays import Stray, strays
from audio_pipeline.serving.services import RunningService, running_services, service_named
from audio_pipeline.terminal import write

GONE_S = 2.0
WHAT = {".board": "board", ".log": "log"}


def leftovers(args: argparse.Namespace) -> int:
    """Prints each thing that is left and returns 1; 0 where nothing is, or where the sweep took everything.

    Services of the host are no leftovers: they end by themselves, or by `--end`. Raises ConfigError for one that is not
    there.
    """
    for line in end_services(args.end):
        write(line)
    if args.sweep:
        for line in sweep():
            write(line)
    left = list(found())
    for line in left:
        write(line)
    if not left:
        running = ", ".join(run.name for run in runtime.running())
        write(f"nothing is left over; running: {running or 'nothing'}")
    for service in running_services():
        write(described(service))
    return int(bool(left))


def found() -> Iterator[str]:
    """A line for each process and each folder that nobody owns."""
    for stray in strays(runtime.base_dir()):
        yield f"process {stray.pid} ({stray.name}) of {stray.run or 'a pipeline'}, which has no supervisor"
    for folder in runtime.dead():
        yield f"folder {folder} of a dead pipeline: {_contents(folder)}"


def described(service: RunningService) -> str:
    """What a service holds and who uses it, on one line."""
    status = service.status
    idle = f"nobody; it ends by itself after {status.linger_s:g} s"
    where = f"process {service.pid}{_memory(service.pid)}" if service.pid else "a process of another PID namespace"
    return f"service {service.name}: {where}; holds {status.holds}; used by {', '.join(status.users) or idle}"


def _memory(pid: int) -> str:
    with contextlib.suppress(psutil.Error):
        return f" with {psutil.Process(pid).memory_info().rss / 1e6:.0f} MB"
    return ""


def end_services(names: Sequence[str]) -> Iterator[str]:
    """Ends services by name; a line for each. Raises ConfigError for one that is not there."""
    for service in [service_named(name) for name in names]:
        yield f"ended service {service.name}" if service.end() else f"service {service.name} is still there"


def _contents(folder: Path) -> str:
    """`2 sockets, 5 boards, 1 log, 3 others`."""
    with contextlib.suppress(OSError):
        kinds = Counter("socket" if path.is_socket() else WHAT.get(path.suffix, "other") for path in folder.iterdir())
        return ", ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in sorted(kinds.items())) or "empty"
    return "just ended"


def sweep() -> Iterator[str]:
    """Ends the processes, removes the folders; a line for each."""
    for stray in strays(runtime.base_dir()):
        yield from _end(stray)
    deadline = time.monotonic() + GONE_S
    while any(strays(runtime.base_dir())) and time.monotonic() < deadline:
        time.sleep(0.05)
    for folder in list(runtime.dead()):
        shutil.rmtree(folder, ignore_errors=True)
        yield f"removed {folder}"


def _end(stray: Stray) -> Iterator[str]:
    with contextlib.suppress(ProcessLookupError):
        os.kill(stray.pid, signal.SIGKILL)
        yield f"ended process {stray.pid} ({stray.name})"
