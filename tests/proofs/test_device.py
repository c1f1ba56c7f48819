"""A real sound card: a chirp goes out and comes back when the pipeline says, also beside a busy core; it may be pulled.

The card is a PulseAudio of its own with a sink into nothing, which PortAudio reaches through ALSA; its monitor hears
what is played. Between converter and air there is nothing, so what is measured is the pipeline and the sound server.
A machine that is itself taken away for longer than a card's buffer stutters, whatever runs on it. So a bare sleep runs
beside: where it overslept, a card may have run dry as often.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.devices.pulse import RATE, plug, pulse, unplug
from tests.proofs.kinds.chirps import EVERY_SAMPLES, chirp
from tests.proofs.kinds.tape import Played
from tests.proofs.live import State, running

__all__ = ["pulse"]
pytestmark = [pytest.mark.proof, pytest.mark.timeout(0), pytest.mark.usefixtures("pulse")]
KINDS = Path(__file__).parent / "kinds"
CONFIG = f"""
version: 1
name: echo
rate: {RATE}
node_paths: ["{KINDS}"]
nodes:
  chirps: {{kind: chirps}}
  speaker: {{kind: playback, device: default, latency: high, in: {{from: chirps, on_loss: silence}}}}
  mic: {{kind: capture, device: default, latency: high}}
  tape: {{kind: tape, inputs: {{sent: chirps, played: speaker.reference, heard: mic}}}}
"""
SETTLED_S = 5.0  # PulseAudio claims delays of 0.7 s in a stream's first seconds
BUFFER_MS = 30.0  # of playback, beside that of the card


class Sleeper:
    """Sleeps 5 ms again and again; how often it overslept by more than playback's buffer, and by how much at worst."""

    def __init__(self) -> None:
        self.overslept, self.worst_ms = 0, 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._done.is_set():
            began = time.monotonic()
            time.sleep(0.005)
            late_ms = (time.monotonic() - began) * 1000 - 5
            self.worst_ms = max(self.worst_ms, late_ms)
            self.overslept += late_ms > BUFFER_MS

    def __enter__(self) -> Sleeper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


@contextmanager
def busy_core() -> Iterator[None]:
    """An ordinary process that never rests."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


def found(tape: Played, near_ns: float) -> tuple[float, float]:
    """When the chirp nearest to a time was there, and how clearly (correlation, 1: itself)."""
    wanted = chirp()
    first = max(tape.index_at(near_ns) - RATE * 4 // 10, 0)
    window = tape.sound[first : first + RATE * 9 // 10].astype(np.float64)
    if len(window) < 2 * len(wanted):
        return 0.0, 0.0
    match = np.abs(np.correlate(window, wanted, "valid")) / np.sum(wanted.astype(np.float64) ** 2)
    at = int(match.argmax())
    return tape.ns_at(first + at), float(match[at])


def measured(folder: Path, declared_ms: float) -> np.ndarray[Any, Any]:
    """A row for each chirp that came back: ms from entry to ear, ms by which playback's own word is off."""
    sent, played, heard = (Played(folder / f"{name}.tape", RATE) for name in ("sent", "played", "heard"))
    begins = range(EVERY_SAMPLES, len(sent.sound) - RATE, EVERY_SAMPLES)
    rows = []
    for begin in (begin for begin in begins if begin > SETTLED_S * RATE):
        sent_ns = sent.ns_at(begin)
        heard_ns, clear = found(heard, sent_ns + declared_ms * 1e6)
        said_ns, _ = found(played, heard_ns)
        rows.append([(heard_ns - sent_ns) / 1e6, (heard_ns - said_ns) / 1e6, clear])
    return np.array(rows)


def counters(state: State) -> dict[str, int]:
    """What went wrong with the card."""
    nodes = state["nodes"]
    return {
        f"{node} {name}": nodes[node]["counters"].get(name, 0)
        for node, names in (("speaker", ("xruns", "gaps")), ("mic", ("xruns",)))
        for name in names
    }


def test_a_chirp_comes_back_when_the_pipeline_says(tmp_path: Path, proof_scale: float) -> None:
    seconds = max(600 * proof_scale, 15)
    file = tmp_path / "echo.yaml"
    file.write_text(CONFIG)
    with busy_core(), running(file, tmp_path) as pipeline:
        before = counters(pipeline.play(SETTLED_S))
        with Sleeper() as sleeper:
            states = [pipeline.play(0.25) for _ in range(round((seconds - SETTLED_S) / 0.25))]
            after = counters(states[-1])
        final = pipeline.finish()
    way = next(path["terms_ms"] for path in final["paths"] if path["path"][:2] == ["chirps", "speaker"])
    speaker = final["nodes"]["speaker"]
    stated = speaker["latency_ms"]["compute"]
    now = float(np.median([state["nodes"]["speaker"]["gauges"]["device_delay_ms"] for state in states]))
    declared = way["chirps"] + way["speaker"] - stated + now
    rows = measured(tmp_path, declared)
    good = rows[:, 2] > 0.9
    delay, off = np.median(rows[good, 0]), np.median(rows[good, 1])
    wrong = {name: after[name] - before[name] for name in after}
    print(
        f"{seconds:.0f} s beside a busy core: {good.sum()} of {len(good)} chirps came back after {delay:.1f} ms "
        f"({rows[good, 0].min():.1f} to {rows[good, 0].max():.1f}), declared {declared:.1f} ms "
        f"(of which the sound server holds {now:.0f} ms, {stated:.0f} when it began); {off:+.1f} ms from "
        f"when playback said; {wrong}; a bare sleep overslept {BUFFER_MS:.0f} ms {sleeper.overslept} times, "
        f"by {sleeper.worst_ms:.0f} ms at worst"
    )
    assert len(good) >= 5 and good.mean() >= 0.9 - 0.1 * sleeper.overslept
    assert abs(off) <= 20, "whatever the machine did, playback knows when it was heard"
    assert max(wrong["speaker xruns"], wrong["mic xruns"]) <= 2 * sleeper.overslept
    assert wrong["speaker gaps"] <= 1 + seconds / 300 + 2 * sleeper.overslept, "frames that came too late"
    if not sleeper.overslept:
        assert abs(delay - declared) <= 20


def test_a_card_is_pulled_out_of_a_running_pipeline(tmp_path: Path) -> None:
    """Nobody dies, the clock goes on, and the state says what has happened."""
    file = tmp_path / "echo.yaml"
    file.write_text(CONFIG)

    def gone(state: State) -> set[float]:
        return {state["nodes"][name]["gauges"].get("device_gone") for name in ("speaker", "mic")}

    with running(file, tmp_path) as pipeline:
        pipeline.until("there", lambda s: gone(s) == {0.0})
        unplug()
        away = pipeline.until("gone", lambda s: gone(s) == {1.0}, 10)
        on = pipeline.until("goes on", lambda s: s["position"] > away["position"] + RATE, 10)
        plug()
        pulled_s = time.monotonic()
        pipeline.until("back", lambda s: gone(s) == {0.0}, 30)
        back_s = time.monotonic() - pulled_s
        pipeline.play(3)
        final = pipeline.finish()
    went_on_s = (on["position"] - away["position"]) / RATE
    print(
        f"pulled out and put back: gone said, the clock went on by {went_on_s:.2f} s meanwhile, both back "
        f"{back_s:.1f} s after the card (of which PulseAudio takes 2 s to start a stream), no restart"
    )
    assert all(node["restarts"] == 0 for node in final["nodes"].values())
    assert any("device gone" in line for line in final["log"]) and any("is back" in line for line in final["log"])
    heard = Played(tmp_path / "heard.tape", RATE)
    dropped = next(link["dropped"] for link in final["links"] if link["to"] == "tape.heard")
    missing = sum(samples for _, samples in heard.jumps)
    assert missing == sum(dropped.values()) * final["frame_samples"], (
        f"silence in the place of what was not heard, but for what a busy machine dropped: {heard.jumps}, {dropped}"
    )
    assert missing < RATE // 10
    assert found(heard, float(heard.ns_at(len(heard.sound) - RATE)))[1] > 0.5, "heard again"
