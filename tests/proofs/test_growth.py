"""Nothing grows with the number of frames: memory of the process and of the interpreter, under virtual time."""

from __future__ import annotations

import gc
import os
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from audio_pipeline.graph.load import load
from audio_pipeline.supervisor.local import LocalGraph
from audio_pipeline.worker import commands

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
KINDS = Path(__file__).parent / "kinds"
RATE, FRAME_MS = 8_000, 10  # little sound a frame: what the engine keeps for a frame is the point
FRAMES_A_SECOND = 1000 // FRAME_MS
SECOND_NS = 1_000_000_000
WARM_S = 12
LEAST_RSS = 1 << 21  # two of the pools that the interpreter takes from the system at a time
CONFIG = f"""
version: 1
name: growth
rate: {RATE}
frame_ms: {FRAME_MS}
node_paths: ["{KINDS}"]
nodes:
  song: {{kind: tune}}
  halves: {{kind: halves, in: song}}
  mix:
    kind: mixer
    inputs:
      vocals: {{from: halves.vocals, on_loss: bypass}}
      accompaniment: {{from: halves.accompaniment, on_loss: bypass}}
      dry: {{from: song, on_loss: silence}}
  speaker: {{kind: playback, device: "null", in: {{from: mix, on_loss: silence}}}}
  slow: {{kind: slow, in: {{from: mix, policy: drop_oldest}}}}
"""


class Busy:
    """A graph that plays, is sought in every ten seconds, and has a fader that moves every second."""

    def __init__(self, stage: LocalGraph) -> None:
        self.stage = stage
        self._seconds = self._generation = 0

    def play(self, seconds: int) -> None:
        stage = self.stage
        for _ in range(seconds):
            stage.run_until(stage.clock.now_ns() + SECOND_NS)
            self._seconds += 1
            gain_db = -6.0 * (self._seconds % 4)
            stage.command("mix", commands.Set("inputs.dry.gain_db", gain_db))
            if self._seconds % 10 == 0:
                self._seek()

    def _seek(self) -> None:
        self._generation += 1
        for name in self.stage.runners:
            if name != "song":
                self.stage.runners[name].inbox.append(commands.Cancel("song", self._generation))
        self.stage.command("song", commands.Transport("seek", {"seconds": 0.0}, self._generation))


@contextmanager
def playing(folder: Path) -> Iterator[Busy]:
    folder.mkdir()
    file = folder / "growth.yaml"
    file.write_text(CONFIG)
    with LocalGraph(load(file), folder, live=True) as stage:
        busy = Busy(stage)
        busy.play(WARM_S)
        yield busy


def _nodes(busy: Busy) -> int:
    return len(busy.stage.runners)


def test_the_interpreter_keeps_nothing_of_a_frame(tmp_path: Path, proof_scale: float) -> None:
    seconds = max(round(500 * proof_scale), 20)
    tracemalloc.start()
    try:
        with playing(tmp_path / "traced") as busy:
            gc.collect()
            before, began = tracemalloc.get_traced_memory()[0], tracemalloc.take_snapshot()
            busy.play(seconds)
            gc.collect()
            grown, top = tracemalloc.get_traced_memory()[0] - before, _top(began)
            frames = seconds * FRAMES_A_SECOND * _nodes(busy)
    finally:
        tracemalloc.stop()
    print(f"{frames} frames x nodes: {grown} bytes more of Python's memory, {grown / frames:.3f} a frame and node")
    assert grown <= frames, top


def _top(began: tracemalloc.Snapshot) -> str:
    """Where most of the growth was allocated."""
    here = [tracemalloc.Filter(inclusive=False, filename_pattern=tracemalloc.__file__)]
    after = tracemalloc.take_snapshot().filter_traces(here)
    return "\n".join(str(line) for line in after.compare_to(began.filter_traces(here), "lineno")[:8])


def test_the_process_grows_by_less_than_a_byte_a_frame(tmp_path: Path, proof_scale: float) -> None:
    seconds = max(round(4_000 * proof_scale), 40)
    process = psutil.Process(os.getpid())
    with playing(tmp_path / "resident") as busy:
        gc.collect()
        fds, sizes, began_s = process.num_fds(), [process.memory_info().rss], time.monotonic()
        for _ in range(10):
            busy.play(seconds // 10)
            sizes.append(process.memory_info().rss)
        gc.collect()
        frames = seconds // 10 * 10 * FRAMES_A_SECOND * _nodes(busy)
        more_fds = process.num_fds() - fds
    grown = float(np.median(sizes[-3:]) - sizes[0])
    print(
        f"{frames} frames x nodes in {time.monotonic() - began_s:.0f} s: {grown / 1024:.0f} KiB more resident "
        f"memory, {grown / frames:.3f} bytes a frame and node; {more_fds} more files open"
    )
    assert grown <= max(frames, LEAST_RSS), [round((size - sizes[0]) / 1024) for size in sizes]
    assert more_fds == 0
