"""A separator that gets too little of the machine: the dry song at missed deadlines, no catching up, recovery."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.proofs.live import NO_CARD, running

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
BURN = "import numpy as np\na = np.random.rand(600, 600)\nwhile True: a @ a"


def test_overloaded_separator_plays_the_dry_song_and_recovers(tmp_path: Path, proof_scale: float) -> None:
    seconds = max(60 * proof_scale, 6)
    with running("karaoke", tmp_path, NO_CARD) as pipeline:
        calm = pipeline.play(4)["nodes"]
        before = calm["split"]["counters"].get("missed_deadlines", 0)
        # a session each: the kernel shares the machine out by session first, and each node has its own
        burners = [subprocess.Popen([sys.executable, "-c", BURN], start_new_session=True) for _ in range(12)]
        try:
            busy = pipeline.play(seconds)
        finally:
            for burner in burners:
                burner.kill()
                burner.wait()
        missed = busy["nodes"]["split"]["counters"].get("missed_deadlines", 0) - before
        pipeline.play(3)
        settled = pipeline.state()["nodes"]["split"]["counters"].get("missed_deadlines", 0)
        after = pipeline.play(max(20 * proof_scale, 4))
        final = pipeline.finish()
    again = after["nodes"]["split"]["counters"].get("missed_deadlines", 0) - settled
    ages = {link["to"]: link["age_ms"]["max"] for link in final["links"]}
    print(f"{seconds:.0f} s beside 12 busy processes: {missed} missed deadlines; afterwards {again}; worst ages {ages}")
    assert missed > 0, "the machine was not busy enough to prove anything"
    assert again <= missed / 10, "it recovers"
    assert after["nodes"]["split"]["restarts"] == 0, "without a restart"
    assert final["nodes"]["speaker"]["counters"]["stream_opens"] == 1
    assert all(link["balanced"] for link in final["links"])
    dry = final["nodes"]["mix"]["counters"].get("concealed_samples", 0)
    print(f"the mixer stood in for late stems for {dry / final['rate'] * 1000:.0f} ms")
