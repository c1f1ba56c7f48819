"""`kill -9` of each node of a playing karaoke pipeline: what is heard, what is kept, what is left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.proofs.live import NO_CARD, Pipeline, db, running, silent_runs_ms

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
FRAME_MS = 10
MIXER_GAP_MS = 300
VOICE_DB = -24.0


def test_kill_each_node_while_the_song_plays(tmp_path: Path, proof_scale: float) -> None:
    rounds = max(round(10 * proof_scale), 1)
    gaps: dict[str, list[float]] = {"split": [], "mix": [], "rec": []}
    with running("karaoke", tmp_path, NO_CARD) as pipeline:
        pipeline.until("the voice is separated", lambda s: s["nodes"]["mix"]["levels_db"]["out"][1] > -60)
        pipeline.client.set("mix", "inputs.vocals.gain_db", VOICE_DB)
        pipeline.play(3)
        for _ in range(rounds):
            for victim, found in gaps.items():
                found.append(_gap_ms(pipeline, victim))
        final = pipeline.finish()
        left = pipeline.leftovers()
    for victim, found in gaps.items():
        print(f"kill -9 {victim}: silence at the loudspeaker {', '.join(f'{gap:.0f}' for gap in found)} ms")
    assert max(gaps["split"]) <= FRAME_MS, "the dry song stands in for a dead separator"
    assert max(gaps["mix"]) <= MIXER_GAP_MS
    assert max(gaps["rec"]) == 0, "a dead recorder is nobody else's business"
    assert final["nodes"]["speaker"]["counters"]["stream_opens"] == 1, "playback's stream never closes"
    assert final["nodes"]["mix"]["settings"]["inputs"]["vocals"]["gain_db"] == VOICE_DB
    assert all(link["balanced"] for link in final["links"]), "every frame is accounted for"
    assert not left, f"processes left behind: {left}"
    _check_recording(tmp_path)


def _gap_ms(pipeline: Pipeline, victim: str) -> float:
    """Silence that playback had to put in because of this death."""
    before = pipeline.state()["nodes"]["speaker"]["counters"].get("concealed_samples", 0)
    pipeline.kill(victim)
    state = pipeline.play(4)
    after = state["nodes"]["speaker"]["counters"].get("concealed_samples", 0)
    return (after - before) / state["rate"] * 1000


def _check_recording(folder: Path) -> None:
    tracks = {name: soundfile.read(folder / f"{name}.wav") for name in ("mix", "vocals", "accompaniment")}
    mix, vocals, band = (tracks[name][0] for name in ("mix", "vocals", "accompaniment"))
    rate = tracks["mix"][1]
    assert len(mix) == len(vocals) == len(band), "tracks line up"
    after_fade = slice(4 * rate, None)
    wanted = band + vocals * 10 ** (VOICE_DB / 20)
    heard = np.abs(wanted) < 0.99  # the mix is clipped at full scale, the tracks are not
    rest = np.where(heard, mix - wanted, 0)[after_fade]
    assert db(rest) < db(mix[after_fade]) - 60, "the fader stayed where it was through every restart"
    assert max(silent_runs_ms(mix[after_fade], rate), default=0) <= MIXER_GAP_MS + FRAME_MS
