"""A separator on a machine that gets busy for a while: it steps down, misses stop, and it steps up again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.proofs.live import NO_CARD, Pipeline, running

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
BURN = "import numpy as np\na = np.random.rand(600, 600)\nwhile True: a @ a"
CALM_S = 2.0
SETTLED_S = 5.0  # by then it stands where it can


def split(pipeline: Pipeline) -> dict[str, Any]:
    """What the separator shows now."""
    node = pipeline.state()["nodes"]["split"]
    shown: dict[str, Any] = {"missed": node["counters"].get("missed_deadlines", 0), **node["gauges"]}
    return shown


def test_misses_stop_on_the_way_down_and_it_climbs_again(tmp_path: Path, proof_scale: float) -> None:
    """Misses in the time after it settled are rarer by far than those before; nobody is restarted."""
    seconds, busy = max(60 * proof_scale, 8), 6 * (os.cpu_count() or 1)
    with running("karaoke", tmp_path, (*NO_CARD, "nodes.split.hop=4", f"nodes.split.calm_s={CALM_S}")) as pipeline:
        pipeline.play(4)
        before = split(pipeline)
        # a session each: the kernel shares the machine out by session first, and each node has its own
        burners = [subprocess.Popen([sys.executable, "-c", BURN], start_new_session=True) for _ in range(busy)]
        try:
            pipeline.play(SETTLED_S)
            settled = split(pipeline)
            deepest = settled["mode"]
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                pipeline.play(0.25)
                deepest = max(deepest, split(pipeline)["mode"])
            late = split(pipeline)
        finally:
            for burner in burners:
                burner.kill()
                burner.wait()
        began = time.monotonic()
        pipeline.until("it is at the top again", lambda s: s["nodes"]["split"]["gauges"]["mode"] <= 0, 60 + 60 * CALM_S)
        took = time.monotonic() - began
        final = pipeline.finish()
    first, then = settled["missed"] - before["missed"], late["missed"] - settled["missed"]
    said = [line for line in final["log"] if "mode balanced, step" in str(line)]
    print(
        f"{busy} busy processes: {first} missed deadlines in the first {SETTLED_S:g} s, {then} in the {seconds:.0f} s "
        f"after, {deepest:.0f} steps down; at the top again {took:.0f} s after they ended; {len(said)} steps said"
    )
    node = final["nodes"]["split"]
    assert deepest > 0, "it never stepped down, or the machine was not busy enough to prove anything"
    assert not then or then / seconds < first / SETTLED_S / 2, "misses did not get rarer"
    assert said
    assert node["restarts"] == 0
    assert final["nodes"]["speaker"]["counters"]["stream_opens"] == 1
