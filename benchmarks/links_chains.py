"""The chains that are compared: each starts its processes, says which they are, and leaves lists of times."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from audio_pipeline import Options, Pipeline

HERE = Path(__file__).resolve().parent
START_S, END_S = 60.0, 20.0
Pids = dict[str, int]
Chain = Callable[[Path, int], AbstractContextManager[Pids]]


def until(true: Callable[[], bool], what: str, timeout_s: float) -> None:
    """Waits for it, and gives up with a sentence."""
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.02)


@contextmanager
def engine(folder: Path, count: int, process: str = "own") -> Iterator[Pids]:
    """The engine itself: supervisor, worker processes, credit, ledger, boards and all."""
    nodes = ["n0: {kind: bench_tone}"]
    nodes += [f"n{i}: {{kind: bench_pass, in: n{i - 1}}}" for i in range(1, count - 1)]
    nodes += [f"n{count - 1}: {{kind: bench_probe, in: n{count - 2}}}"]
    file = folder / "chain.yaml"
    head = f"version: 1\nrate: 48000\nframe_ms: 10\nprocess: {process}\n"
    head += f"node_paths: [{HERE / 'links_kinds'}]\nnodes:\n"
    file.write_text(head + "".join(f"  {node}\n" for node in nodes), encoding="utf-8")
    with Pipeline.load(file, options=Options(folder=folder, report=False)) as pipeline:
        until(lambda: pipeline.state().meters.uptime_s > 0, "the engine's chain runs", START_S)
        yield {name: node.pid for name, node in pipeline.state().meters.nodes.items() if node.pid}


def grouped(folder: Path, count: int) -> AbstractContextManager[Pids]:
    """The same pipeline with `process: auto`: its nodes are light, so the loader puts them into one process."""
    return engine(folder, count, "auto")


@contextmanager
def bare_zmq(folder: Path, count: int) -> Iterator[Pids]:
    """PUSH and PULL over ipc, and nothing else."""
    script = HERE / "links_peers" / "zmq_stage.py"
    processes = [
        subprocess.Popen([sys.executable, str(script), str(i), str(count), str(folder)], start_new_session=True)
        for i in reversed(range(count))
    ]
    try:
        yield _announced(folder, count)
    finally:
        _end(processes, folder)


def dora(python: Path) -> Chain:
    """dora-rs with a Python node a stage, under `dora run`."""

    @contextmanager
    def chain(folder: Path, count: int) -> Iterator[Pids]:
        file = folder / "chain.yaml"
        file.write_text("nodes:\n" + "".join(_dora_node(folder, i, count) for i in range(count)), encoding="utf-8")
        environment = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [python.parent / "dora", "run", str(file)],
                env=environment,
                cwd=folder,
                start_new_session=True,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        try:
            yield {**_announced(folder, count), "daemon": process.pid}
        finally:
            (folder / "stop").touch()
            _end([process], folder, ask=False)

    return chain


def _dora_node(folder: Path, number: int, count: int) -> str:
    lines = [
        f"- id: n{number}",
        f"  path: {HERE / 'links_peers' / 'dora_stage.py'}",
        f"  env: {{STAGE: '{number}', COUNT: '{count}', FOLDER: '{folder}'}}",
    ]
    lines += [f"  inputs: {{in: n{number - 1}/out}}"] if number else []
    lines += ["  outputs: [out]"] if number < count - 1 else []
    return "".join(f"  {line}\n" for line in lines)


def ezmsg(python: Path) -> Chain:
    """ezmsg with a process a unit."""

    @contextmanager
    def chain(folder: Path, count: int) -> Iterator[Pids]:
        script = HERE / "links_peers" / "ezmsg_chain.py"
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [python, str(script), str(count), str(folder)], start_new_session=True, stdout=log, stderr=log
            )
        try:
            yield {**_announced(folder, count), "server": process.pid}
        finally:
            (folder / "stop").touch()
            _end([process], folder, ask=False)

    return chain


def _announced(folder: Path, count: int) -> Pids:
    files = {f"n{i}": folder / f"n{i}.pid" for i in range(count)}
    until(
        lambda: all(file.exists() and file.read_text(encoding="utf-8") for file in files.values()),
        f"{count} stages run",
        START_S,
    )
    return {name: int(file.read_text(encoding="utf-8")) for name, file in files.items()}


def _end(processes: list[subprocess.Popen[Any]], folder: Path, *, ask: bool = True) -> None:
    """Waits for the arrivals to be written, then makes sure that nothing is left."""
    for process in processes if ask else ():
        process.send_signal(signal.SIGTERM)
    try:
        until((folder / "arrived.npy").exists, "the last stage writes its list", END_S)
        for process in processes:
            until(lambda process=process: process.poll() is not None, "the stages end", END_S)  # type: ignore[misc]
    finally:
        for process in processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # gone already
            process.wait()
