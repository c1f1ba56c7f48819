"""A pipeline as a program in an environment of its own: real processes, waited for without deadlines of their own.

`prefix` is what the command is run under (`unshare`, `prlimit`), `env` what is different in its environment.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from audio_pipeline.control.client import Client
from audio_pipeline.errors import ControlError
from tests.engine.graphs import KINDS
from tests.plain_state import plain_state

HEAD = """
version: 1
name: matrix
rate: 48000
node_paths: [{kinds}]
{top}
nodes:
"""
LIGHT = """
  song: {kind: noise, seed: 0}
  mix: {kind: sum, inputs: {dry: {from: song, on_loss: silence}}}
  out: {kind: sink, inputs: {a: mix}}
"""
State = dict[str, Any]
T = TypeVar("T")


@dataclass
class Running:
    """The program, its runtime folder, and what it said."""

    process: subprocess.Popen[bytes]
    runtime: Path  # XDG_RUNTIME_DIR
    log: Path

    def until(self, look: Callable[[], T | None]) -> T:
        """What `look` gives, once that is something. A pipeline that ends meanwhile is told with what it said."""
        while True:
            found = look()
            if found:
                return found
            if self.process.poll() is not None:
                raise AssertionError(f"it ended with {self.process.returncode}: {self.log.read_text()}")
            time.sleep(0.02)

    @property
    def folder(self) -> Path:
        """Its own folder."""
        return self.until(lambda: next(iter(sorted(self.runtime.glob("audio-pipeline/[!.]*"))), None))

    def client(self) -> Client:
        return Client(f"ipc://{self.folder}/control", self.until(self._token))

    def _token(self) -> str:
        with suppress(OSError):
            return (self.folder / "token").read_text()
        return ""

    def state(self) -> State | None:
        """What it shows; None while it does not answer."""
        client = self.client()
        try:
            return plain_state(client)
        except ControlError:
            return None
        finally:
            client.close()

    def when(self, what: Callable[[State], object]) -> State:
        """The first state of which this is true."""

        def look() -> State | None:
            state = self.state()
            return state if state is not None and what(state) else None

        return self.until(look)

    def plays_on(self) -> State:
        """Waits until a second more was played by every node, all of them running."""
        before = self.when(everybody_runs)
        return self.when(lambda state: everybody_runs(state) and state["position"] > before["position"] + state["rate"])

    def end(self) -> int:
        """As Ctrl-C does; its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait()

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")


def everybody_runs(state: State) -> bool:
    return all(node["state"] == "running" for node in state["nodes"].values())


def restarts(state: State) -> int:
    return sum(node["restarts"] for node in state["nodes"].values())


@contextmanager
def running(
    folder: Path,
    *,
    prefix: Sequence[str] = (),
    env: Mapping[str, str | None] | None = None,
    top: str = "",
    nodes: str = LIGHT,
    args: Sequence[str] = (),
    runtime: Path | None = None,
    stdin: int = subprocess.DEVNULL,
) -> Iterator[Running]:
    """Runs three light nodes, or others, until the block ends; kinds may lie in `folder`/kinds."""
    config = folder / "matrix.yaml"
    kinds = ", ".join(str(path) for path in (KINDS, folder / "kinds") if path.is_dir())
    config.write_text(HEAD.format(kinds=kinds, top=top) + nodes)
    with tempfile.TemporaryDirectory(prefix="e") as short:  # names of sockets are
        private = runtime or Path(short)
        wanted = {**os.environ, "XDG_RUNTIME_DIR": str(private), **(env or {})}
        command = [
            *prefix,
            sys.executable,
            "-m",
            "audio_pipeline",
            "run",
            str(config),
            "--no-view",
            "--folder",
            str(folder / "take"),
            *args,
        ]
        log = folder / "said"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=out,
                stderr=out,
                cwd=folder,
                env={name: value for name, value in wanted.items() if value is not None},
            )
        try:
            yield Running(process, private, log)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()
