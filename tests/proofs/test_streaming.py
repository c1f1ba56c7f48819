"""What the running graph writes live, against Spleeter's own offline result for the same song."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.plain_state import plain_state
from tests.proofs.live import running
from tests.shared import shared

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
GOALS_DB = {"low": 13.0, "balanced": 17.0, "quality": 20.0}


@pytest.mark.parametrize("mode", list(GOALS_DB))
def test_live_stems_agree_with_the_official_ones(mode: str, tmp_path: Path) -> None:
    song, official = shared("spleeter_official/mixture.flac"), shared("spleeter_official/vocals.wav")
    sets = [f"nodes.song.path={song}", f"nodes.split.mode={mode}", "nodes.rec.subtype=float32"]
    with running("stems", tmp_path, sets) as pipeline:
        assert pipeline.run.wait(60), "the song is over"
        final = plain_state(pipeline.run.state())
    split = final["nodes"]["split"]
    wanted, _ = soundfile.read(official)
    got, _ = soundfile.read(tmp_path / "vocals.wav")
    agreement = _agreement_db(got, wanted)
    print(
        f"{mode}: live at hop {split['gauges'].get('hop', 0):.0f}: {agreement:.1f} dB against offline, "
        f"missed deadlines {split['counters'].get('missed_deadlines', 0)}"
    )
    assert len(got) == len(wanted), "N samples in, N samples out"
    assert agreement >= GOALS_DB[mode]


def _agreement_db(got: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    return float(10 * np.log10(np.sum(wanted**2) / np.sum((wanted - got) ** 2)))
