"""Each role of another host with each attack: the loudspeaker plays on, nothing is restarted, others are served."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import soundfile as sf

from audio_pipeline.keys import FOLDER, Keys
from tests.proofs.hostile import ROLES, combinations
from tests.proofs.hosts import gaps, make_keys, studio_yaml, write_tone
from tests.proofs.live import Pipeline, State, running
from tests.shared import ROOT

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]

ATTACK_S, LEAST_S = 5.0, 0.4
LOST = 0.02  # of a singer's or a listener's sound, at most, over all attacks
BUSY = 3  # where the machine has no time for the sound with nobody attacking, so many times as much is no fault of ours
MOST_MEMORY = 64 << 20  # by which a process may grow over all attacks together

SPARE = "spare: {from: spare, on_loss: silence}"
MORE = """
  spare: {kind: remote_mic}
  rec: {kind: recorder, subtype: float32, inputs: {mix: {from: mix, policy: block}}}
"""
LAPTOP = """
version: 1
name: laptop
rate: 48000
nodes:
  tone: {{kind: file_source, path: "{tone}", loop: true}}
  out: {{kind: remote_out, in: tone, host: "127.0.0.1:{port}", to: voice, key: studio, own: laptop}}
  there: {{kind: remote_in, host: "127.0.0.1:{port}", port: mix, key: studio, own: laptop}}
  speaker: {{kind: playback, device: "null", in: {{from: there, on_loss: silence}}}}
"""


@dataclass(frozen=True)
class Outcome:
    """What an attack did."""

    role: str
    attack: str
    times: int
    seconds: float
    silent_ms: float  # at the studio's loudspeaker
    restarts: int
    singer_lost: float
    listener_lost: float
    gateway: float  # share of a core

    def __str__(self) -> str:
        return (
            f"hostile: {self.role:8} {self.attack:10} {self.times:7} times: studio silent {self.silent_ms:.0f} "
            f"ms, restarts {self.restarts}, singer lost {self.singer_lost:.1%}, listener {self.listener_lost:.1%}, "
            f"gateway {self.gateway:.0%} of a core"
        )


def lost(before: State, after: State, node: str, seconds: float) -> float:
    """Share of the sound from another host that was made up or not there."""
    names = ("concealed_samples", "held_samples")
    counters = [sum(s["nodes"][node]["counters"].get(name, 0) for name in names) for s in (before, after)]
    return float(counters[1] - counters[0]) / (seconds * 48_000)


def silent_ms(before: State, after: State) -> float:
    counters = [s["nodes"]["speaker"]["counters"]["concealed_samples"] for s in (before, after)]
    return float(counters[1] - counters[0]) / 48


def restarts(state: State) -> int:
    return sum(int(node["restarts"]) for node in state["nodes"].values())


def attack(studio: Pipeline, laptop: Pipeline, role: str, kind: str, seconds: float) -> Outcome:
    """One of them, in a process of its own; a calm while where `role` is empty."""
    before, listening = studio.state(), laptop.state()
    gateway = psutil.Process(before["nodes"]["gateway"]["pid"])
    cpu, began = cpu_s(gateway), time.monotonic()
    port = str(int(before["nodes"]["gateway"]["gauges"]["port"]))
    times = hostile(role, kind, port, seconds) if role else 0
    if not role:
        studio.play(seconds)
    took = time.monotonic() - began
    after, still = studio.state(), laptop.state()
    share = (cpu_s(gateway) - cpu) / took
    assert restarts(after) == restarts(before), f"{role} {kind}: {after['incidents']}"
    return Outcome(
        role,
        kind,
        times,
        took,
        silent_ms(before, after),
        restarts(after) + restarts(still),
        lost(before, after, "voice", took),
        lost(listening, still, "there", took),
        share,
    )


def hostile(role: str, kind: str, port: str, seconds: float) -> int:
    """How often it did what it does."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.proofs.hostile", role, kind, port, str(Keys().folder), str(seconds)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds + 120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return int(run.stdout)


def total(outcomes: Sequence[Outcome]) -> tuple[float, float, float]:
    """Over all of them: how much of the time the loudspeaker was silent, a singer's and a listener's sound was lost."""
    seconds = sum(each.seconds for each in outcomes)
    silent = sum(each.silent_ms for each in outcomes) / 1000
    singer = sum(each.singer_lost * each.seconds for each in outcomes)
    listener = sum(each.listener_lost * each.seconds for each in outcomes)
    return silent / seconds, singer / seconds, listener / seconds


def cpu_s(process: psutil.Process) -> float:
    """What it has used; nothing where it is gone."""
    try:
        return float(sum(process.cpu_times()[:2]))
    except psutil.NoSuchProcess:
        return 0.0


def memory(studio: Pipeline, state: State) -> dict[str, int]:
    """Resident bytes of each node."""
    return {name: psutil.Process(node["pid"]).memory_info().rss for name, node in state["nodes"].items()}


def test_whatever_another_host_does_the_loudspeaker_plays_on(
    private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proof_scale: float
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path / "keys"))
    make_keys(tmp_path / "keys")
    keys = Keys()
    for role in ROLES[1:]:
        keys.allow(f"mallory {role}", keys.new(f"mallory {role}").public, role)
    tone = write_tone(tmp_path / "tone.wav")
    (tmp_path / "studio.yaml").write_text(studio_yaml(tone, "tcp://127.0.0.1:0", mixed=SPARE, more=MORE))
    seconds = max(ATTACK_S * proof_scale, LEAST_S)
    with running(tmp_path / "studio.yaml", tmp_path / "studio") as studio:
        opened = studio.until("the gateway is open", lambda s: s["nodes"]["gateway"]["gauges"].get("port"))
        port = int(opened["nodes"]["gateway"]["gauges"]["port"])
        (tmp_path / "laptop.yaml").write_text(LAPTOP.format(tone=tone, port=port))
        with running(tmp_path / "laptop.yaml", tmp_path / "laptop") as laptop:
            laptop.until(
                "both are connected",
                lambda s: all(s["nodes"][name]["gauges"].get("connected") == 1 for name in ("out", "there")),
            )
            before = memory(studio, studio.play(2))
            calm = [attack(studio, laptop, "", "calm", max(4 * seconds, 3))]
            outcomes = []
            for role, kind in combinations():
                outcomes.append(attack(studio, laptop, role, kind, seconds))
                print(outcomes[-1], flush=True)
            calm.append(attack(studio, laptop, "", "calm", max(4 * seconds, 3)))
            state = studio.play(2)
            grown = {name: after - before[name] for name, after in memory(studio, state).items()}
            connected = state["nodes"]["voice"]["gauges"]["connected"], laptop.state()["nodes"]["there"]["gauges"]
            laptop.finish()
        counters = {name: node["counters"] for name, node in state["nodes"].items() if name in ("gateway", "spare")}
        studio.finish()
    print("hostile: gateway", json.dumps(counters["gateway"]), "fed", json.dumps(counters["spare"]))
    print("hostile: grown", {name: f"{size / (1 << 20):.1f} MB" for name, size in grown.items() if size > 1 << 20})
    sound, _ = sf.read(next((tmp_path / "studio").glob("mix*.wav")), dtype="float32", always_2d=True)
    found = gaps(sound)
    names, quiet, under = ("loudspeaker silent", "singer lost", "listener lost"), total(calm), total(outcomes)
    print(
        f"hostile: {len(outcomes)} attacks of {seconds:g} s; "
        + ", ".join(
            f"{name} {share:.2%} (calm {before:.2%})" for name, share, before in zip(names, under, quiet, strict=True)
        )
        + f"; gaps in the recording: {sum(gap.ms for gap in found):.0f} ms"
    )
    assert connected[0] == 1 and connected[1]["connected"] == 1
    for name, share, before_it, allowed in zip(names, under, quiet, (0.0, LOST, LOST), strict=True):
        assert share <= allowed + BUSY * before_it, f"{name}: {share:.2%}"
    assert found == [] or quiet[0], found
    assert max(grown.values()) < MOST_MEMORY, grown
