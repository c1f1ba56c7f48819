"""Speech detection on many tracks of 10 ms frames, ours and Pipecat's: does either fall behind?

    python benchmarks/tracks.py SPEECH.wav                 2, 8 and 16 tracks, 60 s each, in turn
    python benchmarks/tracks.py SPEECH.wav --tracks 2 --seconds 600

Both run Silero's network on every track, at 16 kHz, paced as from a microphone. *Lag* is by how much older a frame is
when it comes out than the quickest one of its track: what stands still in a pipeline that keeps up, and grows in one
that does not. *Behind* counts frames that were offered and had not come out when the last one was offered.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from audio_pipeline import Options, Pipeline
from audio_pipeline.files.clip import read_clip
from audio_pipeline.frame import Flag
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.links.tap import Tap

sys.path.insert(0, str(Path(__file__).resolve().parent))
from links_usage import usage

RATE, FRAME_MS = 16_000, 10
SETTLE_S, STEP_S = 2.0, 0.002
PIPECAT = "pipecat-ai[websocket]==1.14.0"
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Outcome:
    """One run: the lag of each frame in ms, in order of time, and what it took."""

    name: str
    lag_ms: np.ndarray
    offered: int
    behind: int
    core: float  # share of one

    def __str__(self) -> str:
        p50, p99, most = np.quantile(self.lag_ms, [0.5, 0.99, 1.0])
        tenth = max(len(self.lag_ms) // 10, 1)
        first, last = np.median(self.lag_ms[:tenth]), np.median(self.lag_ms[-tenth:])
        return (
            f"  {self.name:16} lag p50 {p50:7.1f} p99 {p99:7.1f} max {most:7.1f} ms, first tenth {first:6.1f}, last "
            f"{last:7.1f}; behind {self.behind:5} of {self.offered}, missing {self.offered - len(self.lag_ms):5}; "
            f"{100 * self.core:5.1f} % of a core"
        )


def ours(speech: Path, tracks: int, seconds: float) -> Outcome:
    """A source and a `vad` node a track, in two processes; this process taps every output."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tracks.yaml"
        file.write_text(_graph(speech, tracks), encoding="utf-8")
        with Pipeline.load(file, options=Options(folder=folder, report=False)) as pipeline:
            pipeline.wait_playing()
            time.sleep(SETTLE_S)
            return _watched(pipeline, tracks, seconds)


def _graph(speech: Path, tracks: int) -> str:
    head = f"version: 1\nname: tracks\nrate: {RATE}\nframe_ms: {FRAME_MS}\nnodes:\n"
    source = "  voice{0}: {{kind: file_source, path: {1}, loop: true, process: voices}}\n"
    detector = "  vad{0}: {{kind: vad, in: voice{0}, process: detectors}}\n"
    each = ((source + detector).format(number, json.dumps(str(speech))) for number in range(tracks))
    return head + "".join(each)


def _watched(pipeline: Pipeline, tracks: int, seconds: float) -> Outcome:
    run = RunDir(Path(pipeline.access["endpoint"].removeprefix("ipc://")).parent)
    taps = [Tap(run.endpoint(f"vad{number}", "out"), run.token, name=f"lag{number}") for number in range(tracks)]
    pids = {node.pid for node in pipeline.state().meters.nodes.values() if node.pid}
    before, began, ages = _cpu_ns(pids), time.monotonic(), [[] for _ in taps]
    while time.monotonic() < began + seconds:
        for tap, found in zip(taps, ages, strict=True):
            while (frame := tap.take(0)) is not None:
                if frame.captured_ns and not frame.flags & Flag.GAP:
                    found.append(((at := time.monotonic_ns()), (at - frame.captured_ns) / 1e6))
        time.sleep(STEP_S)
    core = (_cpu_ns(pids) - before) / (time.monotonic() - began) / 1e9
    offered = sum(len(found) for found in ages) + sum(tap.lost for tap in taps)
    lags = sorted((at, age - min(age for _, age in found)) for found in ages for at, age in found)
    queued = sum(link.queued + link.in_flight for link in pipeline.client.ledger().links)
    for tap in taps:
        tap.close()
    return Outcome("audio-pipeline", np.array([lag for _, lag in lags]), offered, queued, core)


def _cpu_ns(pids: set[int]) -> float:
    return sum(usage(pid).cpu_ns for pid in pids)


def pipecat(python: Path, speech: Path, tracks: int, seconds: float) -> Outcome:
    """All tracks in one pipeline with one detector, as its transports hand them over."""
    command = [python, HERE / "tracks_peers" / "pipecat_tracks.py", speech, str(tracks), str(seconds)]
    env = os.environ | {"HF_HUB_OFFLINE": "1"}
    printed = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    found = json.loads(printed.splitlines()[-1])
    ages = np.array(found["ages_ms"])
    name = f"Pipecat {found['version']}"
    return Outcome(name, ages - ages.min(), found["offered"], found["behind"], found["cpu_s"] / seconds)


def peer_python(folder: Path) -> Path:
    """The interpreter that has Pipecat, in an environment that is made once."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        print(f"fetching {PIPECAT} into {folder}", file=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", PIPECAT], check=True)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("speech", type=Path, help="a file with speech")
    parser.add_argument("--tracks", type=int, nargs="+", default=[2, 8, 16])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--peer", type=Path, default=Path.home() / ".cache" / "audio-pipeline" / "envs" / "pipecat")
    wanted = parser.parse_args()
    python = peer_python(wanted.peer)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        speech = Path(folder) / "speech.wav"
        to_wav(wanted.speech, speech)
        for tracks in wanted.tracks:
            print(f"{tracks} tracks of {FRAME_MS} ms frames, {wanted.seconds:g} s")
            print(ours(speech, tracks, wanted.seconds), flush=True)
            print(pipecat(python, speech, tracks, wanted.seconds), flush=True)


def to_wav(source: Path, target: Path) -> None:
    """16 kHz, mono, 16 bits, which both read."""
    samples, rate = read_clip(source)
    mono = soxr.resample(samples.mean(axis=1), rate, RATE)
    soundfile.write(target, mono, RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()
