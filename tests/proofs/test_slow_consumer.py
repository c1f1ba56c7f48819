"""A consumer a fifth too slow, and one that stands still for two seconds: what it hears is never old."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_pipeline.graph.load import load
from audio_pipeline.graph.types import Graph
from audio_pipeline.metrics import Reading
from audio_pipeline.supervisor.board_readings import Boards
from audio_pipeline.supervisor.local import LocalGraph
from audio_pipeline.supervisor.state import link_ledger
from audio_pipeline.worker import commands
from tests.plain_state import link_map
from tests.proofs.kinds.slow import ages_ms
from tests.proofs.kinds.tune import tune
from tests.proofs.live import running
from tests.proofs.recording import Recorded, recorded

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
KINDS = Path(__file__).parent / "kinds"
RATE, FRAME_MS, BUDGET_MS = 48_000, 10, 100
WORK_MS = 1.2 * FRAME_MS
SECOND_NS = 1_000_000_000
SLOW = "  slow: {{kind: slow, work_ms: {work_ms}, in: {{from: song, policy: {policy}, budget_ms: {budget}}}}}\n"
CONFIG = f"""
version: 1
name: overload
rate: {RATE}
frame_ms: {FRAME_MS}
node_paths: ["{KINDS}"]
nodes:
  song: {{kind: tune}}
  rec: {{kind: recorder, subtype: float32, inputs: {{track: {{from: song, policy: block}}}}}}
"""


def graph(folder: Path, slow: str) -> Graph:
    folder.mkdir()
    file = folder / "overload.yaml"
    file.write_text(CONFIG + slow)
    return load(file)


def slow(policy: str = "drop_oldest", work_ms: float = 0.0) -> str:
    return SLOW.format(policy=policy, work_ms=work_ms, budget=BUDGET_MS)


# -- virtual time ------------------------------------------------------------------------------------


def _virtually(folder: Path, seconds: float, policy: str | None) -> dict[str, Any]:
    """Plays with a consumer that needs 12 ms for each 10 ms, stopped for two seconds in the middle; its link."""
    made = graph(folder, slow(policy) if policy else "")
    half = round(seconds / 2 * SECOND_NS)
    with LocalGraph(made, folder, live=True, work_ms={"slow": WORK_MS}) as stage:
        stage.run_until(stage.clock.now_ns() + half)
        if policy:
            stage.hold_up("slow", 2_000)
        stage.run_until(stage.clock.now_ns() + half)
        stage.command("song", commands.Finish())
        stage.run_until(stage.clock.now_ns() + 3 * SECOND_NS)
        boards = {name: Boards((), Reading(Path(runner.job.board))) for name, runner in stage.runners.items()}
        links = [link for link in stage.run.plan.links if str(link.target) == "slow.in"]
        return next((link_map(link_ledger(link, boards)) for link in links), {})


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "latest"])
def test_what_a_slow_consumer_hears_is_never_old(policy: str, tmp_path: Path, proof_scale: float) -> None:
    seconds = max(60 * proof_scale, 6)
    link = _virtually(tmp_path / "with", seconds, policy)
    _virtually(tmp_path / "without", seconds, None)
    _check(tmp_path / "with", link, seconds, f"{policy}, virtual time", work_ms=WORK_MS)
    ours, others = (recorded(tmp_path / name, "track").audio for name in ("with", "without"))
    assert np.array_equal(ours, others), "the other branch is as if there were no slow consumer"
    assert len(ours) >= seconds * RATE * 0.99


def _check(folder: Path, link: dict[str, Any], seconds: float, what: str, *, work_ms: float = 0.0) -> None:
    """`work_ms`: what had been spent on a frame when its age was taken, as virtual time passes before the work."""
    ages = [age - work_ms for _, age in ages_ms(folder)]
    accounted = link["delivered"] + sum(link["dropped"].values()) + link["queued"] + link["in_flight"]
    print(
        f"{what}: {seconds:.0f} s, {link['offered']} frames offered, {link['delivered']} taken, "
        f"dropped {link['dropped']}; on the link p50 {np.median(ages):.1f} ms, max {max(ages):.1f} ms "
        f"(budget {BUDGET_MS} + {FRAME_MS} ms)"
    )
    assert max(ages) <= BUDGET_MS + FRAME_MS
    assert link["balanced"] and accounted == link["offered"], "every frame is accounted for"
    assert link["queued"] == link["in_flight"] == 0, "at the end nothing is under way"
    assert sum(link["dropped"].values()) > 0, "it was not too slow"
    positions = [position for position, _ in ages_ms(folder)]
    assert positions == sorted(set(positions)), "in order, nothing twice"


# -- real processes ----------------------------------------------------------------------------------


def test_the_same_with_processes(tmp_path: Path, proof_scale: float) -> None:
    seconds = max(60 * proof_scale, 8)
    with_, without = tmp_path / "with", tmp_path / "without"
    made = graph(with_, slow(work_ms=WORK_MS))
    with running(made.file or "", with_) as pipeline:
        pipeline.play(seconds / 2)
        pid = pipeline.state()["nodes"]["slow"]["pid"]
        os.kill(pid, signal.SIGSTOP)
        time.sleep(2.0)
        with suppress(ProcessLookupError):  # taken for hung: two seconds are just its limit
            os.kill(pid, signal.SIGCONT)
        pipeline.play(seconds / 2)
        final = pipeline.finish()
    link = next(link for link in final["links"] if link["to"] == "slow.in")
    _check(with_, link, seconds + 2, f"processes, {final['nodes']['slow']['restarts']} restarts")
    made = graph(without, "")
    with running(made.file or "", without) as pipeline:
        pipeline.play(seconds / 4)
        pipeline.finish()
    for folder in (with_, without):
        _check_whole(recorded(folder, "track"))


def _check_whole(track: Recorded) -> None:
    """Every sample of the source, in both runs: so the two branches agree bit by bit."""
    wanted = np.concatenate([tune(at, min(RATE, len(track.audio) - at)) for at in range(0, len(track.audio), RATE)])
    assert np.array_equal(track.audio, wanted)
    assert not track.stated.any()
