"""A real pipeline for proofs: real processes, real time, watched through its control socket."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

import audio_pipeline
from tests.plain_state import plain_state

State = dict[str, Any]
NO_CARD = ('nodes.speaker.device="null"',)


class Pipeline:
    """A running pipeline and what a proof does to it."""

    def __init__(self, run: audio_pipeline.Pipeline) -> None:
        self.run = run
        self.supervisor = run.supervisor
        self.client = run.client
        self.pids: set[int] = set()

    def state(self) -> State:
        """The state now; remembers every process it sees."""
        state = plain_state(self.client)
        self.pids |= {node["pid"] for node in state["nodes"].values() if node["pid"]}
        return state

    def until(self, what: str, true_of: Callable[[State], bool], timeout_s: float = 60.0) -> State:
        """The first state of which `true_of` holds."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            state = self.state()
            if true_of(state):
                return state
            time.sleep(0.05)
        raise AssertionError(f"not within {timeout_s:g} s: {what}; log: {state['log']}")

    def play(self, seconds: float) -> State:
        """Lets it play for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(min(0.25, max(end - time.monotonic(), 0)))
            state = self.state()
        return state

    def kill(self, node: str) -> State:
        """`kill -9` of a node, then the state in which its successor runs."""
        before = self.state()["nodes"][node]
        os.kill(before["pid"], signal.SIGKILL)
        return self.until(
            f"{node} runs again",
            lambda s: s["nodes"][node]["state"] == "running" and s["nodes"][node]["restarts"] > before["restarts"],
        )

    def finish(self) -> State:
        """Ends it cleanly; the final state."""
        self.run.stop()
        assert self.run.wait(20), "did not end within 20 s"
        return plain_state(self.run.state())

    def leftovers(self) -> set[int]:
        """Processes of this pipeline that still live."""
        return {pid for pid in self.pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"}


@contextmanager
def running(config: str | Path, folder: Path, sets: Sequence[str] = ()) -> Iterator[Pipeline]:
    """A pipeline that plays; ended at the end, whatever happened."""
    options = audio_pipeline.Options(folder=folder, report=False)
    with playing(audio_pipeline.Pipeline.load(config, sets, options)) as pipeline:
        yield pipeline


@contextmanager
def playing(run: audio_pipeline.Pipeline) -> Iterator[Pipeline]:
    """As `running`, of a pipeline that has been loaded. An error that ended it is the proof's to judge."""
    with closing(run.start()):
        pipeline = Pipeline(run)
        pipeline.until("everybody runs", lambda s: s["uptime_s"] > 0, 120)
        yield pipeline


def db(x: NDArray[np.floating[Any]]) -> float:
    """RMS in dBFS."""
    return float(10 * np.log10(np.mean(np.square(x, dtype=np.float64)) + 1e-20))


def silent_runs_ms(x: NDArray[np.floating[Any]], rate: int) -> list[float]:
    """Lengths of runs of digital silence (all channels below -110 dBFS), in ms."""
    quiet = np.abs(x).max(axis=1) < 3e-6
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet, [0]])))
    return [float(b - a) / rate * 1000 for a, b in zip(edges[::2], edges[1::2], strict=True)]
